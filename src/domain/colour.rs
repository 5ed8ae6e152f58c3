//! A colour, and how well another can be told from it. The brand's colour is judged by it, in the configuration and in a
//! letter.

use std::fmt;

/// The least contrast of text and what is behind it (WCAG 2.2, 1.4.3).
pub const TEXT_CONTRAST: f64 = 4.5;
/// The least contrast of a button and what is around it (WCAG 2.2, 1.4.11).
pub const SHAPE_CONTRAST: f64 = 3.0;

/// How finely [`Colour::shade`] searches.
const SHADES: u16 = 256;

/// A colour of sRGB.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Colour([u8; 3]);

impl Colour {
    /// White.
    pub const WHITE: Self = Self([0xff; 3]);
    /// The dark that letters write with on a bright button.
    pub const DARK: Self = Self([0x10, 0x14, 0x18]);
    /// Black.
    pub const BLACK: Self = Self([0; 3]);

    /// From its parts.
    #[must_use]
    pub const fn new(red: u8, green: u8, blue: u8) -> Self {
        Self([red, green, blue])
    }

    /// Reads `#1f4fbf` or `#14b`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        let part = |at: usize, length: usize| u8::from_str_radix(digits.get(at..at + length)?, 16).ok();
        match digits.len() {
            3 => Some(Self([part(0, 1)? * 0x11, part(1, 1)? * 0x11, part(2, 1)? * 0x11])),
            6 => Some(Self([part(0, 2)?, part(2, 2)?, part(4, 2)?])),
            _ => None,
        }
    }

    /// The contrast of two colours after WCAG 2.2: from 1 for the same one to 21 for black and white.
    #[must_use]
    pub fn contrast(self, other: Self) -> f64 {
        let (one, other) = (self.luminance(), other.luminance());
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// White or [`Self::DARK`], whichever can be read on this colour; nothing if neither can.
    #[must_use]
    pub fn ink(self) -> Option<Self> {
        [Self::WHITE, Self::DARK].into_iter().find(|ink| self.contrast(*ink) >= TEXT_CONTRAST)
    }

    /// The shade nearest to this colour, on the way to another one, that `fits`; the other one if none does.
    #[must_use]
    pub fn shade(self, toward: Self, fits: impl Fn(Self) -> bool) -> Self {
        (0..SHADES).map(|part| self.mixed(toward, part)).find(|shade| fits(*shade)).unwrap_or(toward)
    }

    fn mixed(self, other: Self, part: u16) -> Self {
        let mix = |one: u8, other: u8| {
            let sum = u32::from(one) * u32::from(SHADES - part) + u32::from(other) * u32::from(part);
            u8::try_from(sum / u32::from(SHADES)).unwrap_or(u8::MAX)
        };
        Self(std::array::from_fn(|at| mix(self.0[at], other.0[at])))
    }

    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|part| {
            let value = f64::from(part) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl fmt::Debug for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colour(text: &str) -> Colour {
        Colour::parse(text).expect("a colour")
    }

    #[test]
    fn colours_are_read_and_written() {
        assert_eq!(colour("#14B").to_string(), "#1144bb");
        assert_eq!(colour("#1F4fbf").to_string(), "#1f4fbf");
        for bad in ["", "#", "1f4fbf", "#1f4fb", "#1f4fbf0", "#ggg", "#ä1", "blue", "#+12"] {
            assert_eq!(Colour::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn contrast_is_that_of_wcag() {
        assert!((Colour::BLACK.contrast(Colour::WHITE) - 21.0).abs() < 1e-9);
        assert!((colour("#767676").contrast(Colour::WHITE) - 4.54).abs() < 0.01);
        assert!((colour("#ff0000").contrast(Colour::WHITE) - 4.0).abs() < 0.01);
    }

    #[test]
    fn ink_is_what_can_be_read() {
        assert_eq!(colour("#1f4fbf").ink(), Some(Colour::WHITE));
        assert_eq!(colour("#ffd400").ink(), Some(Colour::DARK));
        assert_eq!(colour("#7b7b7b").ink(), None);
    }

    #[test]
    fn a_shade_is_the_nearest_that_fits() {
        let pale = colour("#ffd400");
        let darker = pale.shade(Colour::BLACK, |shade| shade.contrast(Colour::WHITE) >= SHAPE_CONTRAST);
        assert!((3.0..3.1).contains(&darker.contrast(Colour::WHITE)), "{darker}");
        assert_eq!(pale.shade(Colour::BLACK, |_| true), pale);
        assert_eq!(pale.shade(Colour::BLACK, |_| false), Colour::BLACK);
    }
}
