package setting

import (
	"reflect"
	"testing"
	"time"
)

func TestInterval_ParsesAsTheServerDoes(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"0":          0,
		"1":          time.Millisecond,
		"1500":       1500 * time.Millisecond,
		"1500ms":     1500 * time.Millisecond,
		"2s":         2 * time.Second,
		" 2 s ":      2 * time.Second,
		"1.5s":       1500 * time.Millisecond,
		"5min":       5 * time.Minute,
		"8h":         8 * time.Hour,
		"1d":         24 * time.Hour,
		"2500us":     2 * time.Millisecond,
		"300us":      0,
		"24d":        24 * 24 * time.Hour,
		"25d":        0, // more milliseconds than the server allows
		"2147483647": 2147483647 * time.Millisecond,
		"2147483648": 0,
		"2S":         0,
		"2 sec":      0,
		"-1":         0,
		"off":        0,
		"":           0,
		".":          0,
		"1.2.3":      0,
	} {
		if got := Interval(s); got != want {
			t.Errorf("Interval(%q) = %v, want %v", s, got, want)
		}
	}
}

func TestFromConfig_ReturnsTheSettingThatTakesPrecedence(t *testing.T) {
	for _, tc := range []struct {
		name    string
		params  map[string]string
		options string
		want    time.Duration
	}{
		{"none", nil, "", 0},
		{"others", map[string]string{"statement_timeout": "1s"}, "-c lock_timeout=2s", 0},
		{"a parameter", map[string]string{"idle_session_timeout": "3s"}, "", 3 * time.Second},
		{"in capitals", map[string]string{"IDLE_session_timeout": "3s"}, "", 3 * time.Second},
		{"an option", nil, "-c idle_session_timeout=3s", 3 * time.Second},
		{"an option in one word", nil, "-cidle_session_timeout=3s", 3 * time.Second},
		{"a long option", nil, "--idle-session-timeout=3s", 3 * time.Second},
		{"the last option", nil, "-c idle_session_timeout=3s  -c search_path=x\t--IDLE_SESSION_TIMEOUT=4s", 4 * time.Second},
		{"a value with a space", nil, `-c idle_session_timeout=3\ s`, 3 * time.Second},
		{"both", map[string]string{"idle_session_timeout": "3s"}, "-c idle_session_timeout=4s", 3 * time.Second},
		{"off, in spite of an option", map[string]string{"idle_session_timeout": "0"}, "-c idle_session_timeout=4s", 0},
		{"an option without its value", nil, "-c", 0},
		{"no assignment", nil, "-c idle_session_timeout", 0},
		{"another word", nil, "idle_session_timeout=3s", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := FromConfig(tc.params, tc.options); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestSplit_SplitsAtSpaces(t *testing.T) {
	for s, want := range map[string][]string{
		"":            nil,
		"  ":          nil,
		" a  b\tc\n":  {"a", "b", "c"},
		`a\ b c`:      {"a b", "c"},
		`\\a b\\`:     {`\a`, `b\`},
		`a \`:         {"a", ""},
		`-c a=1 -c b`: {"-c", "a=1", "-c", "b"},
	} {
		if got := split(s); !reflect.DeepEqual(got, want) {
			t.Errorf("split(%q) = %q, want %q", s, got, want)
		}
	}
}
