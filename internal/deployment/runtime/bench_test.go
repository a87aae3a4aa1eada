package runtime

import "testing"

// BenchmarkRun is what one call costs: cold, in a context made for it, and with
// one that was prepared before (the making is outside the timer).
func BenchmarkRun(b *testing.B) {
	p := compile(b, `export const who = query(async (ctx) => ctx.ask("echo", {}));`, nil)
	c := call(Query, "who", "{}")
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			m, err := p.newMachine(QueryLimits.Memory)
			if err != nil {
				b.Fatal(err)
			}
			m.call = &running{Call: c, ctx: b.Context(), limits: QueryLimits}
			if _, err := m.run(b.Context(), m.call); err != nil {
				b.Fatal(err)
			}
			m.close()
		}
	})
	b.Run("prepared", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			m, err := p.newMachine(QueryLimits.Memory)
			if err != nil {
				b.Fatal(err)
			}
			m.call = &running{Call: c, ctx: b.Context(), limits: QueryLimits}
			b.StartTimer()
			if _, err := m.run(b.Context(), m.call); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			m.close()
			b.StartTimer()
		}
	})
}
