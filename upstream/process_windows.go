package upstream

import (
	"fmt"
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

var resumeProcess = windows.NewLazySystemDLL("ntdll.dll").NewProc("NtResumeProcess")

// prepare makes the child start suspended, so that it is in its job before it
// can start others, and in a console group of its own.
func prepare(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		HideWindow:    true,
		CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.CREATE_SUSPENDED,
	}
}

// tree is a job object: all that came of one child. It dies with the last handle
// to it, and so with this process.
type tree struct {
	pid int
	job windows.Handle
}

func newTree(pid int, _ string) (*tree, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("job object: %w", err)
	}
	t := &tree{pid, job}
	if err := t.adopt(); err != nil {
		_ = windows.CloseHandle(job)
		return nil, fmt.Errorf("job object: %w", err)
	}
	return t, nil
}

// adopt puts the suspended child into the job and lets it run.
func (t *tree) adopt() error {
	info := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{
			LimitFlags: windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
		},
	}
	_, err := windows.SetInformationJobObject(t.job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	if err != nil {
		return err
	}
	const access = windows.PROCESS_SET_QUOTA | windows.PROCESS_TERMINATE | windows.PROCESS_SUSPEND_RESUME
	child, err := windows.OpenProcess(access, false, uint32(t.pid))
	if err != nil {
		return err
	}
	defer windows.CloseHandle(child)
	if err := windows.AssignProcessToJobObject(t.job, child); err != nil {
		return err
	}
	if status, _, _ := resumeProcess.Call(uintptr(child)); status != 0 {
		return windows.NTStatus(status)
	}
	return nil
}

// accounting is JOBOBJECT_BASIC_ACCOUNTING_INFORMATION.
type accounting struct {
	userTime, kernelTime, periodUserTime, periodKernelTime int64
	pageFaults, processes, active, terminated              uint32
}

// signal asks the console group to stop on SIGTERM (CTRL_BREAK, the one that a
// group can be sent), ends the whole job on SIGKILL, and returns how many
// processes the job has left.
func (t *tree) signal(sig syscall.Signal) (alive int) {
	switch sig {
	case syscall.SIGTERM:
		_ = windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(t.pid))
	case syscall.SIGKILL:
		_ = windows.TerminateJobObject(t.job, 1)
	}
	var a accounting
	err := windows.QueryInformationJobObject(t.job, windows.JobObjectBasicAccountingInformation,
		uintptr(unsafe.Pointer(&a)), uint32(unsafe.Sizeof(a)), nil)
	if err != nil {
		return 0
	}
	return int(a.active)
}

func (t *tree) close() { _ = windows.CloseHandle(t.job) }
