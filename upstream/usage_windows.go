package upstream

import (
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

var getProcessMemoryInfo = windows.NewLazySystemDLL("kernel32.dll").NewProc("K32GetProcessMemoryInfo")

// memoryCounters is PROCESS_MEMORY_COUNTERS.
type memoryCounters struct {
	size, faults               uint32
	peakWorkingSet, workingSet uintptr
	peakPaged, paged           uintptr
	peakNonPaged, nonPaged     uintptr
	pagefile, peakPagefile     uintptr
}

// usageOf adds up a child and its descendants that live.
func usageOf(pid int) (u Usage, ok bool) {
	snapshot, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return u, false
	}
	defer windows.CloseHandle(snapshot)
	children := make(map[uint32][]uint32)
	entry := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err = windows.Process32First(snapshot, &entry); err == nil; err = windows.Process32Next(snapshot, &entry) {
		children[entry.ParentProcessID] = append(children[entry.ParentProcessID], entry.ProcessID)
	}
	tree := []uint32{uint32(pid)}
	seen := map[uint32]bool{0: true, uint32(pid): true}
	var born time.Duration // a parent's number may be another's by now: children are younger
	for i := 0; i < len(tree); i++ {
		began, ok := u.addProcess(tree[i], born)
		if !ok {
			continue
		}
		if i == 0 {
			born = began
		}
		for _, c := range children[tree[i]] {
			if !seen[c] {
				seen[c] = true
				tree = append(tree, c)
			}
		}
	}
	return u, u.Processes > 0
}

// addProcess adds one process, unless it is older than since, and returns when it
// began.
func (u *Usage) addProcess(pid uint32, since time.Duration) (began time.Duration, ok bool) {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION|windows.PROCESS_VM_READ, false, pid)
	if err != nil {
		return 0, false
	}
	defer windows.CloseHandle(h)
	var created, exited, kernel, user windows.Filetime
	if windows.GetProcessTimes(h, &created, &exited, &kernel, &user) != nil {
		return 0, false
	}
	if began = ticks(created); began < since {
		return 0, false
	}
	u.Processes++
	u.CPU += ticks(kernel) + ticks(user)
	m := memoryCounters{size: uint32(unsafe.Sizeof(memoryCounters{}))}
	if done, _, _ := getProcessMemoryInfo.Call(uintptr(h), uintptr(unsafe.Pointer(&m)), uintptr(m.size)); done != 0 {
		u.Memory += int64(m.workingSet)
	}
	return began, true
}

// ticks are 100 ns each. A moment, of which there are too many since 1601 for a
// Duration, is good for comparing.
func ticks(f windows.Filetime) time.Duration {
	return time.Duration(int64(f.HighDateTime)<<32|int64(f.LowDateTime)) * 100
}
