//! Pictures to show in the middle of a code. They come from strangers: they are read as pixels and forgotten as files.

use std::io::Cursor;

use zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::JpegDecoder;

use super::Colour;

/// The most bytes of a file.
pub const MAX_BYTES: usize = 512 * 1024;
const MAX_SIDE: u32 = 2048;
/// What every JPEG begins with.
const JPEG: &[u8] = &[0xff, 0xd8, 0xff];
const TOO_LARGE: &str = "must have at most 2,048 by 2,048 pixels";
const UNREADABLE: &str = "must be a PNG or a JPEG";

/// A picture.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Logo {
    width: u32,
    height: u32,
    /// Red, green, blue, alpha.
    pixels: Vec<[u8; 4]>,
}

impl Logo {
    /// Reads a PNG, of a moving one the first picture, or a JPEG. Takes some ten milliseconds for a large one.
    pub fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.len() > MAX_BYTES {
            return Err("must have at most 524,288 bytes");
        }
        if bytes.starts_with(JPEG) { Self::of_jpeg(bytes) } else { Self::of_png(bytes) }
    }

    fn of_png(bytes: &[u8]) -> Result<Self, &'static str> {
        let limits = ::png::Limits { bytes: (MAX_SIDE * MAX_SIDE * 8) as usize };
        let mut decoder = ::png::Decoder::new_with_limits(Cursor::new(bytes), limits);
        decoder.set_transformations(::png::Transformations::EXPAND | ::png::Transformations::STRIP_16);
        let mut reader = decoder.read_info().map_err(|_| UNREADABLE)?;
        let (width, height) = (reader.info().width, reader.info().height);
        if width > MAX_SIDE || height > MAX_SIDE {
            return Err(TOO_LARGE);
        }
        let mut buffer = vec![0; reader.output_buffer_size().ok_or(TOO_LARGE)?];
        let frame = reader.next_frame(&mut buffer).map_err(|_| UNREADABLE)?;
        let data = buffer.get(..frame.buffer_size()).ok_or(UNREADABLE)?;
        Self::of((width, height), data, frame.color_type.samples())
    }

    fn of_jpeg(bytes: &[u8]) -> Result<Self, &'static str> {
        let options = DecoderOptions::new_safe()
            .set_max_width(MAX_SIDE as usize)
            .set_max_height(MAX_SIDE as usize)
            .jpeg_set_out_colorspace(ColorSpace::RGB);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers().map_err(|_| UNREADABLE)?;
        let info = decoder.info().ok_or(UNREADABLE)?;
        let data = decoder.decode().map_err(|_| UNREADABLE)?;
        let samples = decoder.output_colorspace().ok_or(UNREADABLE)?.num_components();
        Self::of((info.width.into(), info.height.into()), &data, samples)
    }

    fn of((width, height): (u32, u32), data: &[u8], samples: usize) -> Result<Self, &'static str> {
        let pixels = data.chunks_exact(samples.max(1)).map(|pixel| match *pixel {
            [grey] => [grey, grey, grey, 255],
            [grey, alpha] => [grey, grey, grey, alpha],
            [red, green, blue] => [red, green, blue, 255],
            [red, green, blue, alpha, ..] => [red, green, blue, alpha],
            [] => [0; 4],
        });
        let pixels: Vec<_> = pixels.collect();
        if pixels.len() != (width * height) as usize || pixels.is_empty() {
            return Err(UNREADABLE);
        }
        Ok(Self { width, height, pixels })
    }

    /// Returns it on a ground of one colour, `side` pixels wide and high, as large as fits there without being bent.
    pub fn on(&self, ground: Colour, side: u32) -> Vec<[u8; 3]> {
        let longer = self.width.max(self.height);
        let (width, height) = (scaled(self.width, side, longer), scaled(self.height, side, longer));
        let (left, top) = ((side - width) / 2, (side - height) / 2);
        let mut drawn = vec![ground.0; (side * side) as usize];
        for y in 0..height {
            for x in 0..width {
                let place = (top + y) * side + left + x;
                drawn[place as usize] = self.mean((x, width), (y, height), ground);
            }
        }
        drawn
    }

    /// Returns the mean of all that lies under one pixel of a smaller picture, or the nearest for a larger one.
    fn mean(&self, (x, width): (u32, u32), (y, height): (u32, u32), ground: Colour) -> [u8; 3] {
        let columns = under(x, width, self.width);
        let rows = under(y, height, self.height);
        let (mut sums, mut count) = ([0_u64; 3], 0);
        for row in rows {
            for column in columns.clone() {
                let [red, green, blue, alpha] = self.pixels[(row * self.width + column) as usize];
                for ((sum, own), below) in sums.iter_mut().zip([red, green, blue]).zip(ground.0) {
                    let alpha = u64::from(alpha);
                    *sum += (u64::from(own) * alpha + u64::from(below) * (255 - alpha)) / 255;
                }
                count += 1;
            }
        }
        sums.map(|sum| (sum / count) as u8)
    }
}

fn scaled(length: u32, side: u32, longer: u32) -> u32 {
    (length * side / longer).clamp(1, side)
}

fn under(place: u32, of: u32, length: u32) -> std::ops::Range<u32> {
    let from = place * length / of;
    from..((place + 1) * length / of).max(from + 1)
}

impl std::fmt::Debug for Logo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Logo({}x{})", self.width, self.height)
    }
}
