package main

// Windows has no such limits.

func fileLimit() (uint64, bool) { return 0, false }

func processLimit() (n uint64, which string, ok bool) { return 0, "", false }
