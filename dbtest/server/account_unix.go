//go:build unix

package server

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the user that a server runs as: the current one, unless that is root, which
// PostgreSQL refuses.
type account struct {
	name     string
	uid, gid uint32
	other    bool // not the current user
}

func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		u, err := user.Current()
		if err != nil {
			return account{}, err
		}
		return account{name: u.Username}, nil
	}
	for _, name := range []string{"postgres", "mysql", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return account{}, fmt.Errorf("user %s: %w", name, err)
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return account{}, fmt.Errorf("user %s: %w", name, err)
		}
		return account{name: name, uid: uint32(uid), gid: uint32(gid), other: true}, nil
	}
	return account{}, errors.New("a server does not run as root, and there is no user postgres, mysql or nobody")
}

// own makes the account the owner of a folder.
func (a account) own(dir string) error {
	if !a.other {
		return nil
	}
	return os.Chown(dir, int(a.uid), int(a.gid))
}

// reaches reports whether the account can enter a folder. For another user it checks only
// the permissions of everybody.
func (a account) reaches(dir string) bool {
	if !a.other {
		return true
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return false
	}
	for {
		info, err := os.Stat(dir)
		if err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		up := filepath.Dir(dir)
		if up == dir {
			return true
		}
		dir = up
	}
}

// assume makes a command run as the account.
func (a account) assume(cmd *exec.Cmd) {
	if !a.other {
		return
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
}
