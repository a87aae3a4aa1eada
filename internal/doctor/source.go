package doctor

// Source is the syntax of an app's own code.
type Source struct {
	Files []*SourceFile
}

// SourceFile is one parsed file.
type SourceFile struct {
	Path string // relative to the app's root
}
