package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Process is what the gateway's own process takes. What is 0 is not known.
type Process struct {
	User, System    time.Duration // processor time
	Memory, Virtual int64         // bytes
	Threads         int
	Descriptors     int // open files, not on Windows
	Handles         int // of Windows
	Began           time.Time
}

// Watch makes read the source of the metrics of the gateway's process. It is
// called at each collection, by several goroutines at once, and must not block.
func (t *Telemetry) Watch(read func() Process) {
	if t != nil {
		t.own.Store(&read)
	}
}

// process returns what a collection sees, nil while there is no source.
func (t *Telemetry) process() *Process {
	read := t.own.Load()
	if read == nil {
		return nil
	}
	p := (*read)()
	return &p
}

// process makes the instruments that are read from a Process.
func (k *maker) process(read func() *Process) {
	cpu, uptime := k.seconds(processCPU), k.share(processUptime)
	levels := []struct {
		of metric.Int64ObservableUpDownCounter
		in func(*Process) int64
	}{
		{k.level(processMemory), func(p *Process) int64 { return p.Memory }},
		{k.level(processVirtual), func(p *Process) int64 { return p.Virtual }},
		{k.level(processThreads), func(p *Process) int64 { return int64(p.Threads) }},
		{k.level(processFiles), func(p *Process) int64 { return int64(p.Descriptors) }},
		{k.level(processHandles), func(p *Process) int64 { return int64(p.Handles) }},
	}
	all := []metric.Observable{cpu, uptime}
	for _, l := range levels {
		all = append(all, l.of)
	}
	mode := func(word string) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(attribute.String("cpu.mode", word)))
	}
	user, system := mode("user"), mode("system")
	k.observe(func(_ context.Context, to metric.Observer) error {
		p := read()
		if p == nil {
			return nil
		}
		if p.User > 0 || p.System > 0 {
			to.ObserveFloat64(cpu, p.User.Seconds(), user)
			to.ObserveFloat64(cpu, p.System.Seconds(), system)
		}
		if !p.Began.IsZero() {
			to.ObserveFloat64(uptime, time.Since(p.Began).Seconds())
		}
		for _, l := range levels {
			if v := l.in(p); v > 0 {
				to.ObserveInt64(l.of, v)
			}
		}
		return nil
	}, all...)
}
