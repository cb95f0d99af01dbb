package hinge

// Swing gives the angle after a push, in degrees.
func Swing(push float64) float64 {
	if push > 9 {
		return 90
	}
	return push * 10
}
