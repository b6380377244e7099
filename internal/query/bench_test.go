package query

import (
	"strconv"
	"strings"
	"testing"
)

const benchmarked = "SELECT o.id, o.total, c.name FROM orders o JOIN customers c ON c.id = o.customer_id " +
	"WHERE o.status = 'open' AND o.total > 12.5 AND c.id IN (1,2,3)"

func benchmarkedCache() *Cache[Statement] {
	return NewCache(1000, 1<<20, func(text string) Statement { return Parse(text, Options{Dialect: PostgreSQL}) })
}

func BenchmarkHit(b *testing.B) {
	for name, text := range map[string]string{"short": "SELECT * FROM t WHERE a = ?", "long": benchmarked} {
		b.Run(name, func(b *testing.B) {
			c := benchmarkedCache()
			c.Get(text)
			b.ReportAllocs()
			for b.Loop() {
				c.Get(text)
			}
		})
	}
}

func BenchmarkHitInParallel(b *testing.B) {
	c := benchmarkedCache()
	c.Get(benchmarked)
	c.Get(benchmarked)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.Get(benchmarked)
		}
	})
}

func BenchmarkMiss(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(benchmarked)))
	for b.Loop() {
		Parse(benchmarked, Options{Dialect: PostgreSQL})
	}
}

func BenchmarkUniqueTexts(b *testing.B) {
	texts := make([]string, 10_000)
	for i := range texts {
		texts[i] = benchmarked + strconv.Itoa(i)
	}
	c := benchmarkedCache()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		c.Get(texts[i])
		i = (i + 1) % len(texts)
	}
}

func BenchmarkLongText(b *testing.B) {
	text := benchmarked + strings.Repeat(" OR a = 'xyz' AND b IN (1,2,3,4,5,6,7,8,9)", 1500)
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
