// Package releasetest stands in for the upstreams of a release in tests, as httptest stands in for servers.
package releasetest
