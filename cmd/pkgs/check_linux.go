package main

import (
	"os"
	"os/exec"
	"syscall"
)

// anotherUser is the number of a user that is nobody in particular.
const anotherUser = 4242

// asAnotherUser makes cmd run as another user in its own eyes, in a user namespace: outside of it it is who we are, and may
// read what we may. Anybody can do that where the kernel's settings do not forbid it. See user_namespaces(7).
func asAnotherUser(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: anotherUser, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: anotherUser, HostID: os.Getegid(), Size: 1}},
	}
}
