//go:build !linux

package server

import (
	"os"
	"os/exec"
)

// orphaned does nothing: only Linux tells a program that its parent ended.
func orphaned(*exec.Cmd, os.Signal) {}
