package main

import "os"

// canPause says that processes can be stopped and go on later.
const canPause = false

func terminate(p *os.Process)    { _ = p.Kill() }
func pauseProcess(*os.Process)   {}
func unpauseProcess(*os.Process) {}
func reload(*os.Process)         {} // the gateway sees the file change
