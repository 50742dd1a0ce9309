package telemetry

import "time"

// Patient has Shutdown give the collector more time than a gateway does: a test that looks
// at what came needs all of it, however busy the machine is. It returns t.
func (t *Telemetry) Patient() *Telemetry {
	t.patience = time.Minute
	return t
}
