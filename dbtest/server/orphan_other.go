//go:build !linux

package server

import (
	"os"
	"os/exec"
)

// orphaned does nothing: only Linux signals the end of a program's parent.
func orphaned(*exec.Cmd, os.Signal) {}
