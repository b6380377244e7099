package query

import (
	"strconv"
	"strings"
	"testing"
)

const longQuery = "SELECT o.id, o.total, c.name FROM orders o JOIN customers c ON c.id = o.customer_id " +
	"WHERE o.status = 'open' AND o.total > 12.5 AND c.id IN (1,2,3)"

func newBenchmarkCache() *Cache[Statement] {
	return NewCache(1000, 1<<20, func(text string) Statement { return Parse(text, Options{Dialect: PostgreSQL}) })
}

func BenchmarkCacheGet_Hit(b *testing.B) {
	for name, text := range map[string]string{"short": "SELECT * FROM t WHERE a = ?", "long": longQuery} {
		b.Run(name, func(b *testing.B) {
			c := newBenchmarkCache()
			c.Get(text)
			b.ReportAllocs()
			for b.Loop() {
				c.Get(text)
			}
		})
	}
}

func BenchmarkCacheGet_ParallelHit(b *testing.B) {
	c := newBenchmarkCache()
	c.Get(longQuery)
	c.Get(longQuery)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.Get(longQuery)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(longQuery)))
	for b.Loop() {
		Parse(longQuery, Options{Dialect: PostgreSQL})
	}
}

func BenchmarkCacheGet_UniqueTexts(b *testing.B) {
	texts := make([]string, 10_000)
	for i := range texts {
		texts[i] = longQuery + strconv.Itoa(i)
	}
	c := newBenchmarkCache()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		c.Get(texts[i])
		i = (i + 1) % len(texts)
	}
}

func BenchmarkParse_LongText(b *testing.B) {
	text := longQuery + strings.Repeat(" OR a = 'xyz' AND b IN (1,2,3,4,5,6,7,8,9)", 1500)
	for name, text := range map[string]string{"64KiB": text, "1MiB": strings.Repeat(text, 16)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				Parse(text, Options{Dialect: PostgreSQL})
			}
		})
	}
}
