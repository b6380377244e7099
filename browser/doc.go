// Package browser tests the page of package poolz in a real, headless Chromium while a pool
// is exhausted. The pools are real; the driver is a scripted fake.
//
// Without Chromium the tests are skipped; with OTELPOOL_REQUIRE_SERVERS=1 they fail
// instead:
//
//	apt-get install --no-install-recommends chromium
//
// They save screenshots in the folder that OTELPOOL_SCREENSHOTS names, or else in a
// temporary folder that the log of the tests names.
//
// If OTELPOOL_PICTURES names a folder, TestPictures makes the pictures of
// docs/operating.md there from a run of the example.
//
// It is a separate module so that otelpool does not depend on a browser driver.
package browser
