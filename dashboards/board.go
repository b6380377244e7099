package main

import (
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/heatmap"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/text"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// runbook is the document that alerts and panels link to.
const runbook = "https://github.com/otelpool/otelpool/blob/main/docs/operating.md"

// board is one dashboard. In its expressions @by is the labels that identify a pool,
// and @of the matchers of the variables.
type board struct {
	name, title, about string
	variables          []variable
	rows               []row
	links              []link
}

type row struct {
	title  string
	panels []panel
}

// variable is a choice of the reader.
type variable struct {
	name, label string
	metric, by  string // the values are those of the label by of this metric
	multi       bool
}

// link is a link of a dashboard.
type link struct{ title, url string }

// kind is how a panel looks.
type kind int

const (
	number  kind = iota // one number, with its recent past
	word                // one number that stands for a word
	lines               // lines over time
	stacked             // areas on top of each other
	bars                // bars over time, for counts
	heat                // a histogram over time
	rank                // a table, a row for each pool
	prose               // text
)

// panel is one panel. about is its description.
type panel struct {
	title, about string
	kind         kind
	unit         string
	width        uint32 // of 24
	section      string // of the runbook
	queries      []query
	steps        []step // colours from a value on
	words        []mapping
	missing      string // text without data
	prose        string
}

// query is one expression of a panel.
type query struct {
	expr, legend string
	traces       bool // with exemplars, which link to traces
}

// step is the colour of values from a value on.
type step struct {
	from  float64
	color string
}

// mapping is the word for a value.
type mapping struct {
	value, word, color string
}

// heights of panels, in units of Grafana's grid.
const (
	lowPanel  = 4
	highPanel = 8
)

var source = common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}

// replacer replaces @by and @of in the expressions of a board.
func (b board) replacer() *strings.Replacer {
	filter := `job=~"$job",instance=~"$instance"`
	for _, v := range b.variables {
		if v.name == "pool" {
			filter += `,db_client_connection_pool_name=~"$pool"`
		}
	}
	return strings.NewReplacer("@by", "(job, instance, db_client_connection_pool_name)", "@of", filter)
}

// build returns the dashboard in a naming.
func (b board) build(n naming) (dashboard.Dashboard, error) {
	title := b.title
	if n == dots {
		title += " (UTF-8 names)"
	}
	d := dashboard.NewDashboardBuilder(title).
		Uid(b.name+n.suffix()).
		Description(b.about).
		Tags([]string{"otelpool", "database/sql"}).
		Time("now-1h", "now").
		Refresh("30s").
		Timezone("browser").
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus")).
		Annotation(dashboard.NewAnnotationQueryBuilder().
			Name("Alerts").
			Datasource(source).
			Enable(true).
			IconColor("red").
			Expr(`ALERTS{alertname=~"DB(Pool|Fleet).+",alertstate="firing"}`))
	for _, v := range b.variables {
		d.WithVariable(v.build(n))
	}
	for _, l := range b.links {
		d.Link(dashboard.NewDashboardLinkBuilder(l.title).
			Type(dashboard.DashboardLinkTypeLink).
			Url(strings.ReplaceAll(l.url, "@suffix", n.suffix())).
			IncludeVars(true).
			KeepTime(true))
	}
	write := b.replacer()
	id, y := uint32(0), uint32(0)
	for _, r := range b.rows {
		d.WithRow(dashboard.NewRowBuilder(r.title).GridPos(dashboard.GridPos{X: 0, Y: y, W: 24, H: 1}))
		y++
		x, h := uint32(0), uint32(0)
		for _, p := range r.panels {
			if x+p.width > 24 {
				x, y, h = 0, y+h, 0
			}
			id++
			built, err := p.build(n, write)
			if err != nil {
				return dashboard.Dashboard{}, err
			}
			built.Id = cog.ToPtr(id)
			built.GridPos = &dashboard.GridPos{X: x, Y: y, W: p.width, H: p.height()}
			d.WithPanel(ready{built})
			x, h = x+p.width, max(h, p.height())
		}
		y += h
	}
	return d.Build()
}

// ready makes a built panel a builder.
type ready struct{ panel dashboard.Panel }

// Build returns the panel.
func (r ready) Build() (dashboard.Panel, error) { return r.panel, nil }

// build returns the variable. The function label_values does not accept a label with
// dots: a regexp then extracts the values from series.
func (v variable) build(n naming) *dashboard.QueryVariableBuilder {
	q := dashboard.NewQueryVariableBuilder(v.name).
		Label(v.label).
		Datasource(source).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).
		Sort(dashboard.VariableSortAlphabeticalAsc)
	expr := "label_values(" + n.expression(v.metric) + ", " + v.by + ")"
	if n == dots && strings.Contains(v.by, "_") {
		expr = "query_result(" + n.expression("count by ("+v.by+") ("+v.metric+")") + ")"
		q.Regex(`/pool\.name"?="([^"]+)"/`)
	}
	q.Query(dashboard.StringOrMap{String: &expr}).Definition(expr)
	if v.multi {
		q.Multi(true).IncludeAll(true).AllValue(".+").
			Current(dashboard.VariableOption{
				Text:  dashboard.StringOrArrayOfString{ArrayOfString: []string{"All"}},
				Value: dashboard.StringOrArrayOfString{ArrayOfString: []string{"$__all"}},
			})
	}
	return q
}

func (p panel) height() uint32 {
	if p.kind == number || p.kind == word {
		return lowPanel
	}
	return highPanel
}

// build returns the panel, without its position.
func (p panel) build(n naming, write *strings.Replacer) (dashboard.Panel, error) {
	if p.kind == prose {
		return text.NewPanelBuilder().Title(p.title).Mode(text.TextModeMarkdown).Content(p.prose).Build()
	}
	links := []cog.Builder[dashboard.DashboardLink]{
		dashboard.NewDashboardLinkBuilder("What to do").
			Type(dashboard.DashboardLinkTypeLink).
			Url(runbook + "#" + p.section).
			TargetBlank(true),
	}
	steps := dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(p.thresholds())
	switch p.kind {
	case number, word:
		b := stat.NewPanelBuilder().
			Title(p.title).Description(p.about).Datasource(source).Links(links).
			Unit(p.unit).Thresholds(steps).Mappings(p.mappings()).
			ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"}))
		if p.missing != "" {
			b.NoValue(p.missing)
		}
		if p.kind == word {
			b.ColorMode(common.BigValueColorModeBackground).GraphMode(common.BigValueGraphModeNone)
		}
		for i, q := range p.queries {
			b.WithTarget(q.build(n, write, i))
		}
		return b.Build()
	case heat:
		b := heatmap.NewPanelBuilder().
			Title(p.title).Description(p.about).Datasource(source).Links(links).
			Color(heatmap.NewHeatmapColorOptionsBuilder().Mode(heatmap.HeatmapColorModeScheme).Scheme("Oranges").Steps(64)).
			YAxis(heatmap.NewYAxisConfigBuilder().Unit(p.unit)).
			HideLegend()
		for i, q := range p.queries {
			b.WithTarget(q.build(n, write, i).Format(prometheus.PromQueryFormatHeatmap))
		}
		return b.Build()
	case rank:
		return p.buildRank(n, write, links)
	case lines, stacked, bars, prose:
	}
	b := timeseries.NewPanelBuilder().
		Title(p.title).Description(p.about).Datasource(source).Links(links).
		Unit(p.unit).Min(0).Thresholds(steps).
		Legend(common.NewVizLegendOptionsBuilder().
			DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom).ShowLegend(true)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending))
	if p.kind == stacked || p.kind == bars {
		b.FillOpacity(30).Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal).Group("A")).
			OverrideByRegexp("limit|most held", []dashboard.DynamicConfigValue{
				{Id: "custom.stacking", Value: map[string]string{"mode": "none"}},
				{Id: "custom.fillOpacity", Value: 0},
				{Id: "custom.lineStyle", Value: map[string]any{"fill": "dash", "dash": []int{8, 8}}},
			})
		if p.kind == bars {
			b.DrawStyle(common.GraphDrawStyleBars).FillOpacity(80)
		}
	}
	for i, q := range p.queries {
		b.WithTarget(q.build(n, write, i))
	}
	return b.Build()
}

// buildRank returns a table: a row for each pool, a column for each query, and a link
// to the dashboard of the pool.
func (p panel) buildRank(n naming, write *strings.Replacer, links []cog.Builder[dashboard.DashboardLink]) (dashboard.Panel, error) {
	name := n.label("db.client.connection.pool.name")
	renamed := map[string]string{name: "pool"}
	b := table.NewPanelBuilder().
		Title(p.title).Description(p.about).Datasource(source).Links(links).
		DataLinks([]cog.Builder[dashboard.DashboardLink]{
			dashboard.NewDashboardLinkBuilder("This pool").
				Url("/d/" + poolBoard.name + n.suffix() + "?var-datasource=${datasource}&var-job=${__data.fields.job}&var-pool=${__data.fields.pool}"),
		}).
		OverrideByRegexp("held of limit|not executing|failed dials", []dashboard.DynamicConfigValue{{Id: "unit", Value: "percentunit"}}).
		OverrideByRegexp("oldest .*", []dashboard.DynamicConfigValue{{Id: "unit", Value: "s"}})
	for i, q := range p.queries {
		renamed["Value #"+letter(i)] = q.legend
		b.WithTarget(q.build(n, write, i).Instant().Format(prometheus.PromQueryFormatTable))
	}
	return b.
		WithTransformation(dashboard.DataTransformerConfig{Id: "merge", Options: map[string]any{}}).
		WithTransformation(dashboard.DataTransformerConfig{Id: "organize", Options: map[string]any{
			"excludeByName": map[string]bool{"Time": true},
			"renameByName":  renamed,
		}}).
		Build()
}

// letter is the name of the query with this index in its panel.
func letter(i int) string { return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i : i+1] }

// build returns the query with this index in its panel.
func (q query) build(n naming, write *strings.Replacer, i int) *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().
		Datasource(source).
		RefId(letter(i)).
		Expr(n.expression(write.Replace(q.expr))).
		LegendFormat(n.legend(q.legend)).
		Exemplar(q.traces).
		Range()
}

// thresholds are the steps, from green up.
func (p panel) thresholds() []dashboard.Threshold {
	all := []dashboard.Threshold{{Color: "green"}}
	for _, s := range p.steps {
		all = append(all, dashboard.Threshold{Value: cog.ToPtr(s.from), Color: s.color})
	}
	return all
}

func (p panel) mappings() []dashboard.ValueMapping {
	if p.words == nil {
		return []dashboard.ValueMapping{}
	}
	options := map[string]dashboard.ValueMappingResult{}
	for i, w := range p.words {
		options[w.value] = dashboard.ValueMappingResult{Text: cog.ToPtr(w.word), Color: cog.ToPtr(w.color), Index: cog.ToPtr(int32(i))} // there are few words
	}
	return []dashboard.ValueMapping{{ValueMap: &dashboard.ValueMap{Type: dashboard.MappingTypeValueToText, Options: options}}}
}
