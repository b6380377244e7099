package server

import (
	"os"
	"os/exec"
	"syscall"
)

// orphaned makes the kernel send the signal to the program when the thread that started
// it ends.
func orphaned(cmd *exec.Cmd, sig os.Signal) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig, _ = sig.(syscall.Signal)
}
