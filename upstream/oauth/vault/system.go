package vault

import "github.com/zalando/go-keyring"

// system is the keyring of the system: Keychain, Credential Manager, or the Secret
// Service of a D-Bus session.
type system struct{}

// Get implements Keyring.
func (system) Get(service, name string) (string, error) { return keyring.Get(service, name) }

// Set implements Keyring.
func (system) Set(service, name, secret string) error { return keyring.Set(service, name, secret) }

// Delete implements Keyring.
func (system) Delete(service, name string) error { return keyring.Delete(service, name) }
