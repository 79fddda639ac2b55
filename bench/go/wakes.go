package main

import (
	"math/rand"
	"sync"
)

// Twin of bench/micro/wakes.c, built together with the other twins.
func init() {
	reg["wake_random"] = func() {
		const sleepers = 100000
		var woken sync.WaitGroup
		bells := make([]chan int64, sleepers)
		for i := range bells {
			bell := make(chan int64)
			bells[i] = bell
			go func() {
				for range bell {
					woken.Done()
				}
			}()
		}
		order := rand.New(rand.NewSource(1)).Perm(sleepers)
		wakeAll := func(n int) {
			for r := 0; r < n/sleepers || r == 0; r++ {
				woken.Add(sleepers)
				for _, i := range order {
					bells[i] <- int64(r)
				}
				woken.Wait()
			}
		}
		if *fN < sleepers {
			*fN = 3 * sleepers
		}
		wakeAll(sleepers)
		benchRuns("wake_random_100000", "wake", *fN, wakeAll)
	}
}
