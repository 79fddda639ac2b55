//go:build ignore

// rate_table.go - writes rate_table.h: what Go's own golang.org/x/time/rate answers to calls at given instants.
//
// It reads the package's inside (a reservation with a longest wait has no public name), so it runs as a test in a copy:
//
//	mkdir t && cp -r $(go env GOMODCACHE)/golang.org/x/time@v0.16.0/rate t/ && rm t/rate/*_test.go
//	sed 1d tests/conf/rate_table.go > t/rate/table_test.go && cd t && go mod init t
//	ROWS=280 SEED=7 go test ./rate -run TestTable -v | sed -n '/^ROW/s/^ROW//p'
//
// The answers come from calls to the package; nothing of its text is here.
package rate

import (
	"fmt"
	"math"
	"math/rand"
	"os"
	"strconv"
	"testing"
	"time"
)

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

func number64(x float64) string {
	if math.IsInf(x, 1) || Limit(x) == Inf {
		return "WEFT_RATE_INF"
	}
	return strconv.FormatFloat(x, 'x', -1, 64)
}

// A row: what is asked, when, with which numbers; then the answer and the tokens after it.
func row(op rune, at time.Duration, n int, max time.Duration, rate Limit, ok bool, wait time.Duration, tokens float64) {
	yes := 0
	if ok {
		yes = 1
	}
	ns := func(d time.Duration) string {
		if d == InfDuration {
			return "INT64_MAX"
		}
		return strconv.FormatInt(int64(d), 10)
	}
	fmt.Printf("ROW    {'%c', %s, %d, %s, %s, %d, %s, %s},\n", op, ns(at), n, ns(max), number64(float64(rate)), yes, ns(wait), number64(tokens))
}

func TestTable(t *testing.T) {
	rnd := rand.New(rand.NewSource(int64(number("SEED", 1))))
	rates := []Limit{10, 1, 3.3, 0.7692307692307693, 1e9, 1e-10, 0, 1000.0 / 7, 5, Inf}
	steps := []time.Duration{0, 0, 0, 1, 7 * time.Millisecond, 33333333, 100 * time.Millisecond, time.Second, 1234567891, 7 * time.Minute, -50 * time.Millisecond}
	base := time.Unix(1000000, 0)
	for left := number("ROWS", 280); left > 0; {
		limit, burst := rates[rnd.Intn(len(rates))], rnd.Intn(6)
		lim := NewLimiter(limit, burst)
		at := time.Duration(0)
		held := []*Reservation{}
		row('N', at, burst, 0, limit, false, 0, lim.TokensAt(base))
		for i := 5 + rnd.Intn(25); i > 0 && left > 0; i-- {
			left--
			at += steps[rnd.Intn(len(steps))]
			if rnd.Intn(4) == 0 {
				at += time.Duration(rnd.Int63n(int64(400 * time.Millisecond)))
			}
			now := base.Add(at)
			n := rnd.Intn(5)
			tokens := func() float64 { return lim.TokensAt(now) }
			if math.IsNaN(tokens()) {
				break
			}
			switch rnd.Intn(9) {
			case 0, 1:
				ok := lim.AllowN(now, n)
				row('A', at, n, 0, 0, ok, 0, tokens())
			case 2, 3, 4, 5:
				max := InfDuration
				if rnd.Intn(2) == 0 {
					max = time.Duration(rnd.Int63n(int64(2 * time.Second)))
				}
				r := lim.reserveN(now, n, max)
				wait := time.Duration(0)
				if r.ok {
					wait = r.DelayFrom(now)
					held = append(held, &r)
				}
				row('R', at, n, max, 0, r.ok, wait, tokens())
				if r.ok && wait == InfDuration {
					i = 0 // weft's instants end after 292 years, Go's do not: what comes after may differ by 1e-10 tokens
				}
			case 6:
				if len(held) == 0 {
					continue
				}
				k := rnd.Intn(len(held))
				held[k].CancelAt(now)
				row('C', at, k, 0, 0, false, 0, tokens())
			case 7:
				limit = rates[rnd.Intn(len(rates))]
				lim.SetLimitAt(now, limit)
				row('L', at, 0, 0, limit, false, 0, tokens())
			case 8:
				lim.SetBurstAt(now, n+1)
				row('B', at, n+1, 0, 0, false, 0, tokens())
			}
		}
	}
}
