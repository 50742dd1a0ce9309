package policy

// File is a key of a policy's configuration whose value is the path of a file.
type File struct {
	// Path is the key's path below the policy's own section.
	Path []string
	// Value is the path, relative to the file that has the key, or absolute.
	Value *string
}
