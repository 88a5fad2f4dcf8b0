// Package docs checks what the documents refer to: files, headings and targets
// of the Makefile.
package docs
