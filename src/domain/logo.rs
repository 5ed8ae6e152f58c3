//! The brand's picture: of a kind that mail programs show, small, and of a known size. Bytes in, a logo or what is wrong out.

use std::fmt;
use std::sync::Arc;

/// The most bytes of a logo. It travels in every letter.
pub const LOGO_BYTES_MAX: usize = 64 * 1024;
/// The most pixels of a logo in either direction.
pub const LOGO_PIXELS_MAX: u32 = 2000;

/// A picture that can stand in a letter.
#[derive(Clone, PartialEq, Eq)]
pub struct Logo {
    bytes: Arc<[u8]>,
    kind: Kind,
    width: u32,
    height: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Png,
    Jpeg,
    Gif,
}

/// Why a file is no logo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoError {
    /// More than [`LOGO_BYTES_MAX`].
    #[error("is larger than {} KiB, and it travels in every letter", LOGO_BYTES_MAX / 1024)]
    Bytes,
    /// Neither PNG nor JPEG nor GIF, or not a whole one.
    #[error("is no whole PNG, JPEG or GIF picture; mail programs show no others")]
    Kind,
    /// No pixel, or more than [`LOGO_PIXELS_MAX`].
    #[error("is wider or higher than {LOGO_PIXELS_MAX} pixels, or has none")]
    Pixels,
}

impl Logo {
    /// Looks at the beginning of the file: its kind, and how large the picture is.
    ///
    /// # Errors
    /// [`LogoError`] says what is wrong.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, LogoError> {
        if bytes.len() > LOGO_BYTES_MAX {
            return Err(LogoError::Bytes);
        }
        let found = png(&bytes).or_else(|| gif(&bytes)).or_else(|| jpeg(&bytes));
        let (kind, width, height) = found.ok_or(LogoError::Kind)?;
        if [width, height].iter().any(|pixels| !(1..=LOGO_PIXELS_MAX).contains(pixels)) {
            return Err(LogoError::Pixels);
        }
        Ok(Self { bytes: bytes.into(), kind, width, height })
    }

    /// The file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its media type.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        match self.kind {
            Kind::Png => "image/png",
            Kind::Jpeg => "image/jpeg",
            Kind::Gif => "image/gif",
        }
    }

    /// A name for the attachment.
    #[must_use]
    pub fn file_name(&self) -> &'static str {
        match self.kind {
            Kind::Png => "logo.png",
            Kind::Jpeg => "logo.jpg",
            Kind::Gif => "logo.gif",
        }
    }

    /// Width and height within a box, in its own proportions and never larger than it is.
    #[must_use]
    pub fn within(&self, width_max: u32, height_max: u32) -> (u32, u32) {
        let (width, height) = (u64::from(self.width), u64::from(self.height));
        let fit = |pixels: u64, by: u64, of: u64| u32::try_from((pixels * by / of).max(1)).unwrap_or(u32::MAX);
        if self.width <= width_max && self.height <= height_max {
            (self.width, self.height)
        } else if width * u64::from(height_max) > height * u64::from(width_max) {
            (width_max, fit(height, u64::from(width_max), width))
        } else {
            (fit(width, u64::from(height_max), height), height_max)
        }
    }
}

impl fmt::Debug for Logo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Logo({}, {} x {}, {} bytes)", self.media_type(), self.width, self.height, self.bytes.len())
    }
}

fn big(bytes: &[u8], at: usize, length: usize) -> Option<u32> {
    Some(bytes.get(at..at + length)?.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
}

/// The first chunk is the header (PNG, section 11.2.1); the last one ends the file.
fn png(bytes: &[u8]) -> Option<(Kind, u32, u32)> {
    let is_whole =
        bytes.starts_with(b"\x89PNG\r\n\x1a\n") && bytes.get(12..16)? == b"IHDR" && bytes.ends_with(b"IEND\xaeB`\x82");
    Some((Kind::Png, big(bytes, 16, 4)?, big(bytes, 20, 4)?)).filter(|_| is_whole)
}

fn gif(bytes: &[u8]) -> Option<(Kind, u32, u32)> {
    let is_whole = (bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a")) && bytes.ends_with(b";");
    let little = |at: usize| Some(u32::from(*bytes.get(at)?) | u32::from(*bytes.get(at + 1)?) << 8);
    Some((Kind::Gif, little(6)?, little(8)?)).filter(|_| is_whole)
}

/// Walks the segments to the one that begins the frame (JPEG, annex B.2.2).
fn jpeg(bytes: &[u8]) -> Option<(Kind, u32, u32)> {
    let is_whole = bytes.starts_with(b"\xff\xd8") && bytes.ends_with(b"\xff\xd9");
    let mut at = 2;
    while is_whole && *bytes.get(at)? == 0xff {
        let marker = *bytes.get(at + 1)?;
        match marker {
            // Padding.
            0xff => at += 1,
            // Huffman tables, an extension and arithmetic conditioning share the frames' numbers.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                return Some((Kind::Jpeg, big(bytes, at + 7, 2)?, big(bytes, at + 5, 2)?));
            }
            _ => at += 2 + usize::try_from(big(bytes, at + 2, 2)?).ok()?,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn png_of(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        bytes.extend(width.to_be_bytes());
        bytes.extend(height.to_be_bytes());
        bytes.extend(b"\x08\x06\0\0\0\0\0\0\0\0\0\0\0IEND\xaeB`\x82");
        bytes
    }

    #[test]
    fn pictures_tell_their_kind_and_size() {
        let logo = Logo::parse(png_of(400, 100)).expect("a PNG");
        assert_eq!(format!("{logo:?}"), "Logo(image/png, 400 x 100, 45 bytes)");
        let gif = Logo::parse(b"GIF89a\x40\x01\x20\0;".to_vec()).expect("a GIF");
        assert_eq!(format!("{gif:?}"), "Logo(image/gif, 320 x 32, 11 bytes)");
        let jpeg = b"\xff\xd8\xff\xe0\0\x04ab\xff\xff\xc2\0\x0b\x08\0\x30\0\x90\x01\x01\x11\0\xff\xd9".to_vec();
        assert_eq!(format!("{:?}", Logo::parse(jpeg).expect("a JPEG")), "Logo(image/jpeg, 144 x 48, 24 bytes)");
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let mut cut = png_of(4, 4);
        cut.pop();
        for bad in [b"".to_vec(), b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), b"RIFF____WEBP".to_vec(), cut]
        {
            assert_eq!(Logo::parse(bad), Err(LogoError::Kind));
        }
        assert_eq!(Logo::parse(vec![0; LOGO_BYTES_MAX + 1]), Err(LogoError::Bytes));
        for (width, height) in [(0, 4), (4, 0), (LOGO_PIXELS_MAX + 1, 4), (4, u32::MAX)] {
            assert_eq!(Logo::parse(png_of(width, height)), Err(LogoError::Pixels));
        }
    }

    #[test]
    fn a_logo_fits_its_box_and_keeps_its_proportions() {
        let within = |width, height| Logo::parse(png_of(width, height)).expect("a PNG").within(200, 48);
        assert_eq!(within(100, 40), (100, 40));
        assert_eq!(within(800, 96), (200, 24));
        assert_eq!(within(400, 400), (48, 48));
        assert_eq!(within(2000, 1), (200, 1));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), jpeg in any::<bool>()) {
            let mut bytes = bytes;
            if jpeg {
                bytes.splice(0..0, *b"\xff\xd8\xff");
                bytes.extend(b"\xff\xd9");
            }
            let _ = Logo::parse(bytes);
        }
    }
}
