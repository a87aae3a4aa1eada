package web

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// rgb is an opaque sRGB colour.
type rgb struct{ R, G, B uint8 }

// parseColor reads #rgb and #rrggbb.
func parseColor(s string) (rgb, bool) {
	digits, ok := strings.CutPrefix(strings.TrimSpace(s), "#")
	if !ok {
		return rgb{}, false
	}
	if len(digits) == 3 {
		digits = strings.Repeat(digits[:1], 2) + strings.Repeat(digits[1:2], 2) + strings.Repeat(digits[2:], 2)
	}
	if len(digits) != 6 {
		return rgb{}, false
	}
	n, err := strconv.ParseUint(digits, 16, 24)
	if err != nil {
		return rgb{}, false
	}
	return rgb{uint8(n >> 16), uint8(n >> 8 & 0xff), uint8(n & 0xff)}, true
}

// String returns #rrggbb.
func (c rgb) String() string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// luminance is the relative luminance of WCAG 2.2, from 0 to 1.
func (c rgb) luminance() float64 {
	linear := func(channel uint8) float64 {
		v := float64(channel) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
}

// contrast is the contrast ratio of WCAG 2.2, from 1 to 21.
func contrast(a, b rgb) float64 {
	la, lb := a.luminance(), b.luminance()
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

// saturation is the distance between the strongest and the weakest channel.
func (c rgb) saturation() uint8 { return max(c.R, c.G, c.B) - min(c.R, c.G, c.B) }

// mix moves c towards far by share (0 to 1).
func (c rgb) mix(far rgb, share float64) rgb {
	channel := func(a, b uint8) uint8 {
		return uint8(math.Round(float64(a) + (float64(b)-float64(a))*share))
	}
	return rgb{channel(c.R, far.R), channel(c.G, far.G), channel(c.B, far.B)}
}

// until moves c towards far in small steps until it has the wanted contrast to
// every surface, or is far.
func (c rgb) until(far rgb, want float64, surfaces ...rgb) rgb {
	const steps = 50
	enough := func(c rgb) bool {
		for _, s := range surfaces {
			if contrast(c, s) < want {
				return false
			}
		}
		return true
	}
	for i := range steps {
		if m := c.mix(far, float64(i)/steps); enough(m) {
			return m
		}
	}
	return far
}

// textOn returns white where it is readable on back, else black. One of the two
// always has 4.5:1.
func textOn(back rgb) rgb {
	if white := (rgb{0xff, 0xff, 0xff}); contrast(white, back) >= textContrast {
		return white
	}
	return rgb{0, 0, 0}
}
