package poolz

import (
	"io"

	"github.com/google/pprof/profile"
)

// profileName is the last part of the profile's path.
const profileName = "holds.pb.gz"

// The frames in place of a stack that was not recorded.
const (
	frameShort   = "[holds shorter than 1ms]"
	frameUnknown = "[callers not recorded]"
)

// writeProfile writes the holds as a profile: their number and their time, by call site
// and pool.
func writeProfile(w io.Writer, d *document) error {
	p := &profile.Profile{
		SampleType: []*profile.ValueType{
			{Type: "holds", Unit: "count"},
			{Type: "held", Unit: "nanoseconds"},
		},
		DefaultSampleType: "held",
		TimeNanos:         d.Time.UnixNano(),
		Comments: []string{
			"The time that connections were held, by the call site that acquired them, since the pools were opened. " +
				"A stack has only a few callers.",
		},
	}
	functions := map[frame]*profile.Function{}
	locations := map[frame]*profile.Location{}
	locate := func(f frame) *profile.Location {
		if l := locations[f]; l != nil {
			return l
		}
		named := frame{Function: f.Function, File: f.File}
		fn := functions[named]
		if fn == nil {
			fn = &profile.Function{ID: uint64(len(p.Function)) + 1, Name: f.Function, SystemName: f.Function, Filename: f.File}
			functions[named] = fn
			p.Function = append(p.Function, fn)
		}
		l := &profile.Location{ID: uint64(len(p.Location)) + 1, Line: []profile.Line{{Function: fn, Line: int64(f.Line)}}}
		locations[f] = l
		p.Location = append(p.Location, l)
		return l
	}
	for _, pool := range d.Pools {
		for _, s := range pool.Sites {
			frames := s.Frames
			switch s.Kind {
			case "short":
				frames = []frame{{Function: frameShort}}
			case "unknown":
				frames = []frame{{Function: frameUnknown}}
			}
			p.Sample = append(p.Sample, &profile.Sample{
				Location: each(frames, locate),
				Value:    []int64{s.Holds, int64(s.Held)},
				Label:    map[string][]string{"pool": {pool.Name}},
			})
		}
	}
	if err := p.CheckValid(); err != nil {
		return err
	}
	return p.Write(w)
}
