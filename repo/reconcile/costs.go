package reconcile

import "time"

// KeyEnd is a day by which a key that signs must have been replaced.
type KeyEnd struct {
	Fingerprint string `json:"fingerprint"`
	// Because says what happens on that day: rotate-by, expiry or policy, as package keys has it.
	Because string    `json:"because"`
	At      time.Time `json:"at"`
}

// Prices are for an estimate of costs, in any currency.
type Prices struct {
	// Storage is the price of a gibibyte for a month, Egress that of a gibibyte handed out.
	Storage, Egress float64
	// Clients is how many machines use a stream. Each is taken to look for updates daily, to find new indexes once a week,
	// and to upgrade once a month.
	Clients float64
}

// StreamCosts are what one or more streams cost in a month, in the currency of the prices.
type StreamCosts struct {
	Storage float64 `json:"storage"`
	Egress  float64 `json:"egress"`
}

// Estimate fills in what the streams cost. Of a stream whose objects were not counted, as after a quick look, storage is 0.
// Without prices there is no estimate.
func (r *Report) Estimate(prices Prices) {
	if prices.Storage == 0 && (prices.Egress == 0 || prices.Clients == 0) {
		return
	}
	r.Costs = &StreamCosts{}
	for _, s := range r.Streams {
		s.Costs = &StreamCosts{Storage: prices.storageOf(s), Egress: prices.egressOf(s)}
		r.Costs.Storage += s.Costs.Storage
		r.Costs.Egress += s.Costs.Egress
	}
}

const gibibyte = 1 << 30

// storageOf estimates what a stream's objects cost in a month.
func (p Prices) storageOf(s *StreamReport) float64 { return float64(s.Bytes) / gibibyte * p.Storage }

// egressOf estimates what handing out a stream costs in a month. A machine has one architecture and one format, so it takes
// an equal share of the newest packages.
func (p Prices) egressOf(s *StreamReport) float64 {
	shares := float64(max(s.Shares, 1))
	perClient := float64(s.PackageBytes)/shares + 52.0/12*float64(s.IndexBytes)/2
	return p.Clients * perClient / gibibyte * p.Egress
}
