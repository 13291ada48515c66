// Package releasetest stands in for the upstreams of releases in tests, as httptest stands in for servers.
//
// [Upstream] is a web server with the layouts of dl.k8s.io, of the downloads of GitHub projects and of CRI-O's bucket, on
// which a test makes releases. [Sigstore] signs files as those upstreams do, with keys that nobody else knows. What they make
// is the same every time but for keys and signatures, and does not depend on the time of day.
//
// It knows HTTP and nothing of this module, so that the tests of package release may use it too. No program imports it.
package releasetest
