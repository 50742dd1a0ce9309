package gateway

import (
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/interlock-mcp/interlock/telemetry"
)

var (
	kernel32          = windows.NewLazySystemDLL("kernel32.dll")
	processMemoryInfo = kernel32.NewProc("K32GetProcessMemoryInfo")
	processHandles    = kernel32.NewProc("GetProcessHandleCount")
)

// memoryCounters is PROCESS_MEMORY_COUNTERS.
type memoryCounters struct {
	size, faults               uint32
	peakWorkingSet, workingSet uintptr
	peakPaged, paged           uintptr
	peakNonPaged, nonPaged     uintptr
	pagefile, peakPagefile     uintptr
}

// processNow asks for what this process takes.
func processNow() telemetry.Process {
	var p telemetry.Process
	self := windows.CurrentProcess()
	var created, ended, kernel, user windows.Filetime
	if windows.GetProcessTimes(self, &created, &ended, &kernel, &user) == nil {
		p.User, p.System = lasted(user), lasted(kernel)
	}
	m := memoryCounters{size: uint32(unsafe.Sizeof(memoryCounters{}))}
	if ok, _, _ := processMemoryInfo.Call(uintptr(self), uintptr(unsafe.Pointer(&m)), uintptr(m.size)); ok != 0 {
		p.Memory, p.Virtual = int64(m.workingSet), int64(m.pagefile)
	}
	var handles uint32
	if ok, _, _ := processHandles.Call(uintptr(self), uintptr(unsafe.Pointer(&handles))); ok != 0 {
		p.Handles = int(handles)
	}
	return p
}

// lasted reads a length of time, in units of 100 ns.
func lasted(t windows.Filetime) time.Duration {
	return time.Duration(int64(t.HighDateTime)<<32|int64(t.LowDateTime)) * 100
}
