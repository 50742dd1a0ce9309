// Package examples holds what a reader may copy: configurations and programs,
// each run by a test, and the tests that keep README.md true.
package examples
