// Package browser looks at the page of package poolz as a person does: in a real
// Chromium, without a window, while a pool is in trouble. The pools are those of
// otelpool over a driver that is scripted.
//
// Without Chromium the tests are skipped, except with OTELPOOL_REQUIRE_SERVERS=1,
// where they fail:
//
//	apt-get install --no-install-recommends chromium
//
// They leave pictures of the page in the folder that OTELPOOL_SCREENSHOTS names, or
// else in a temporary one, which the log of the tests names.
//
// TestPictures takes the pictures of docs/operating.md from a run of the example, if
// OTELPOOL_PICTURES names a folder for them.
//
// It is a module of its own because otelpool itself requires nothing that drives a
// browser.
package browser
