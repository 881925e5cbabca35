//! What is drawn is read by another hand.

use std::io::Cursor;

use super::*;

const TEXT: &str = "https://go.example.com/spring";
const LEVELS: [Level; 4] = [Level::Low, Level::Medium, Level::Quartile, Level::High];

/// A picture as a camera sees it.
struct Grey {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

fn grey([red, green, blue]: [u8; 3]) -> u8 {
    ((u32::from(red) * 299 + u32::from(green) * 587 + u32::from(blue) * 114) / 1000) as u8
}

fn see_png(file: &[u8]) -> Grey {
    let mut decoder = ::png::Decoder::new(Cursor::new(file));
    decoder.set_transformations(::png::Transformations::EXPAND);
    let mut reader = decoder.read_info().expect("a PNG");
    let mut buffer = vec![0; reader.output_buffer_size().expect("small")];
    let frame = reader.next_frame(&mut buffer).expect("whole");
    assert_eq!(frame.color_type, ::png::ColorType::Rgb);
    let pixels = buffer.chunks_exact(3).map(|pixel| grey([pixel[0], pixel[1], pixel[2]])).collect();
    Grey { width: frame.width as usize, height: frame.height as usize, pixels }
}

/// Fills the paths of an SVG, which are rectangles and nothing else.
fn see_svg(file: &[u8]) -> Grey {
    let text = std::str::from_utf8(file).expect("UTF-8");
    let attribute = |element: &str, name: &str| {
        let from = element.find(&format!(" {name}=\"")).expect(name) + name.len() + 3;
        element[from..].split('"').next().expect("closed").to_owned()
    };
    let (width, height): (usize, usize) = (
        attribute(text, "width").parse().expect("a number"),
        attribute(text, "height").parse().expect("a number"),
    );
    let mut seen = Grey { width, height, pixels: vec![127; width * height] };
    for element in text.split('<').filter(|element| element.starts_with("path ")) {
        let colour = Colour::parse(&attribute(element, "fill")).expect("a colour");
        for rectangle in attribute(element, "d").split('M').filter(|part| !part.is_empty()) {
            let numbers: Vec<i64> = rectangle
                .split(|character: char| !character.is_ascii_digit() && character != '-')
                .filter_map(|number| number.parse().ok())
                .collect();
            let [x, y, across, down, back] = numbers[..] else { panic!("no rectangle: {rectangle}") };
            assert_eq!(across, -back);
            for row in y..y + down {
                let from = row as usize * width + x as usize;
                seen.pixels[from..from + across as usize].fill(grey(colour.0));
            }
        }
    }
    seen
}

fn see(picture: &Picture) -> Grey {
    if picture.content_type == "image/png" { see_png(&picture.bytes) } else { see_svg(&picture.bytes) }
}

/// Returns what a reader makes of a picture.
fn read(seen: &Grey) -> Vec<String> {
    let pixel = |x: usize, y: usize| seen.pixels[y * seen.width + x];
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(seen.width, seen.height, pixel);
    image.detect_grids().iter().map(|grid| grid.decode().expect("readable").1).collect()
}

fn drawn(style: &Style) -> Grey {
    let wrong = style.wrong();
    assert!(wrong.is_empty(), "{wrong:?}");
    see(&draw(TEXT, style).expect("drawable"))
}

fn logo() -> Logo {
    let pixels: Vec<[u8; 3]> = (0..40 * 20).map(|place| [(place % 256) as u8, 0, 128]).collect();
    Logo::read(&png::colours(40, 20, &pixels)).expect("a PNG")
}

#[test]
fn every_size_level_and_format_is_read_by_another_hand() {
    for format in [Format::Png, Format::Svg] {
        for level in LEVELS {
            for size in [128, 131, 256, 300, 512, 777, 1024, 2048] {
                let style = Style { format, level, size, ..Style::default() };
                let seen = drawn(&style);
                assert_eq!((seen.width, seen.height), (size as usize, size as usize));
                assert_eq!(read(&seen), [TEXT], "{style:?}");
            }
        }
    }
}

#[test]
fn modules_are_whole_pixels_and_the_quiet_zone_is_quiet_at_every_size() {
    let grid = Grid::of(TEXT, Level::High).expect("short");
    for size in 128..=2048 {
        for margin in [4, 7, 40] {
            let style = Style { size, margin, level: Level::High, logo: Some(logo()), ..Style::default() };
            let layout = match layout::Layout::of(&grid, &style) {
                Ok(layout) => layout,
                Err(wrong) => {
                    let least = 2 * (grid.side() as u32 + 2 * margin);
                    assert_eq!(wrong, Undrawable::TooSmall { least });
                    assert!(size < least);
                    continue;
                }
            };
            let code = layout.module * grid.side() as u32;
            assert!(layout.module >= 2 && layout.left >= margin * layout.module, "{size} {margin}");
            assert!(size - code - layout.left >= margin * layout.module, "{size} {margin}");
            let field = layout.field.expect("there is a logo");
            assert!(field.width * 5 <= code && field.width * 7 >= code, "{size} {margin}: {field:?}");
            assert_eq!(field.x * 2 + field.width, layout.left * 2 + code, "in the middle");
        }
    }
}

#[test]
fn colours_with_the_least_contrast_are_still_read() {
    for (dark, light) in
        [("#1a2b3c", "#ffffff"), ("#7a0000", "#ffe0a0"), ("#949494", "#ffffff"), ("#000000", "#5a5a5a")]
    {
        for format in [Format::Png, Format::Svg] {
            let colour = |text| Colour::parse(text).expect("a colour");
            let style = Style { format, dark: colour(dark), light: colour(light), ..Style::default() };
            assert_eq!(read(&drawn(&style)), [TEXT], "{style:?}");
        }
    }
}

#[test]
fn what_no_reader_could_make_out_is_refused() {
    let colours = |dark, light| Style {
        dark: Colour::parse(dark).expect("a colour"),
        light: Colour::parse(light).expect("a colour"),
        ..Style::default()
    };
    for (style, wrong) in [
        (Style::default(), &[][..]),
        (colours("#959595", "#ffffff"), &[Wrong::Contrast]),
        (colours("#ffffff", "#000000"), &[Wrong::Inverted]),
        (colours("#ffffff", "#ffffff"), &[Wrong::Contrast]),
        (Style { size: 127, margin: 3, ..Style::default() }, &[Wrong::Size, Wrong::Margin]),
        (Style { logo: Some(logo()), ..Style::default() }, &[Wrong::Level]),
        (Style { caption: "ä".into(), ..Style::default() }, &[Wrong::Caption]),
        (Style { caption: "x".repeat(33), ..Style::default() }, &[Wrong::Caption]),
        (Style { frame: Frame::Badge, ..Style::default() }, &[Wrong::Frame]),
        (Style { frame_colour: Some(Colour([0xdd; 3])), ..Style::default() }, &[Wrong::FrameContrast]),
    ] {
        assert_eq!(style.wrong(), wrong, "{style:?}");
    }
    assert_eq!(draw(&"x".repeat(5000), &Style::default()), Err(Undrawable::TooMuch));
    let small = Style { size: 128, level: Level::High, margin: 40, ..Style::default() };
    assert!(matches!(draw(TEXT, &small), Err(Undrawable::TooSmall { .. })));
    let crowded = Style { size: 128, caption: "x".repeat(32), ..Style::default() };
    assert_eq!(draw(TEXT, &crowded), Err(Undrawable::CaptionTooLong));
}

#[test]
fn a_code_with_any_frame_and_logo_is_read_at_every_size() {
    let mut turn = 0;
    for size in [256, 300, 512, 777, 1024, 2048] {
        for frame in [Frame::None, Frame::Border, Frame::Rounded, Frame::Badge] {
            for logo in [None, Some(logo())] {
                // Formats and places take turns, each with each.
                turn += 1;
                let format = if turn % 2 == 0 { Format::Png } else { Format::Svg };
                let caption_place = if turn / 2 % 2 == 0 { CaptionPlace::Below } else { CaptionPlace::Above };
                let level = if logo.is_some() { Level::Quartile } else { Level::Low };
                let caption = "SCAN ME".to_owned();
                let style =
                    Style { format, size, level, logo, caption, caption_place, frame, ..Style::default() };
                assert_eq!(read(&drawn(&style)), [TEXT], "{style:?}");
            }
            turn += 1;
        }
    }
}

#[test]
fn a_frame_leaves_the_quiet_zone_alone_and_has_its_own_colour() {
    let red = Colour([0xc0, 0, 0]);
    let grid = Grid::of(TEXT, Level::Medium).expect("short");
    for frame in [Frame::Border, Frame::Rounded, Frame::Badge] {
        for size in [128, 200, 333, 777] {
            for caption_place in [CaptionPlace::Below, CaptionPlace::Above] {
                let caption = "GO".to_owned();
                let style = Style {
                    size,
                    frame,
                    caption_place,
                    caption,
                    frame_colour: Some(red),
                    ..Style::default()
                };
                let layout = layout::Layout::of(&grid, &style).expect("drawable");
                let quiet = style.margin * layout.module;
                let side = grid.side() as u32 * layout.module;
                let (from_x, from_y) = (layout.left - quiet, layout.top - quiet);
                let within = |at: u32, long: u32, from: u32| at < from + side + 2 * quiet && at + long > from;
                for area in layout.frame.iter().chain(&layout.dots) {
                    let meets = within(area.x, area.width, from_x) && within(area.y, area.height, from_y);
                    assert!(!meets, "{frame:?} {size} {caption_place:?}: {area:?}");
                    assert!(area.x + area.width <= layout.width && area.y + area.height <= layout.height);
                }
                let seen = drawn(&style);
                assert!(seen.pixels.contains(&grey(red.0)), "there is red");
                assert_eq!(read(&seen), [TEXT]);
            }
        }
    }
    let small = Style { size: 128, margin: 20, frame: Frame::Rounded, ..Style::default() };
    let Err(Undrawable::TooSmall { least }) = draw(TEXT, &small) else { panic!("it is too small") };
    assert!(draw(TEXT, &Style { size: least, ..small.clone() }).is_ok(), "{least}");
    assert!(draw(TEXT, &Style { size: least - 1, ..small }).is_err());
}

#[test]
fn a_logo_may_be_a_jpeg_of_any_kind() {
    let files: [&[u8]; 4] = [
        include_bytes!("../../tests/it/fixtures/logo/baseline.jpg"),
        include_bytes!("../../tests/it/fixtures/logo/progressive.jpg"),
        include_bytes!("../../tests/it/fixtures/logo/grey.jpg"),
        include_bytes!("../../tests/it/fixtures/logo/cmyk.jpg"),
    ];
    for file in files {
        let logo = Logo::read(file).expect("a JPEG");
        assert_eq!(format!("{logo:?}"), "Logo(48x24)");
        let style = Style { level: Level::High, logo: Some(logo), ..Style::default() };
        assert_eq!(read(&drawn(&style)), [TEXT]);
        for end in [3, 20, file.len() / 2] {
            // Half of one may be drawn as far as it goes; it must not harm.
            drop(Logo::read(&file[..end]));
        }
    }
    let red = Logo::read(files[0]).expect("a JPEG").on(Colour::WHITE, 48);
    let [r, g, b] = red[48 * 24];
    assert!(r > 180 && g < 40 && b < 70, "{r} {g} {b}");
    let mut wide = files[0].to_vec();
    let frame = wide.windows(2).position(|bytes| bytes == [0xff, 0xc0]).expect("a frame header");
    wide[frame + 7..frame + 9].copy_from_slice(&[0xff, 0xff]);
    assert!(Logo::read(&wide).is_err(), "too wide");
}

#[test]
fn a_caption_stands_below_and_does_not_disturb() {
    for format in [Format::Png, Format::Svg] {
        let style = Style { format, caption: "SCAN ME! 50% off".into(), ..Style::default() };
        let seen = drawn(&style);
        assert_eq!(seen.width, 512);
        assert!(seen.height > 512, "{}", seen.height);
        assert_eq!(read(&seen), [TEXT]);
        let below = &seen.pixels[512 * 512..];
        assert!(below.contains(&0), "something is written");
        assert!(below[below.len() - 512 * 4..].iter().all(|pixel| *pixel == 255), "and not on the edge");
        assert!(below.chunks(512).all(|line| line[0] == 255 && line[511] == 255));
    }
}

#[test]
fn both_formats_show_the_same() {
    for caption in ["", "Spring"] {
        for frame in [Frame::None, Frame::Border, Frame::Rounded, Frame::Badge] {
            if frame == Frame::Badge && caption.is_empty() {
                continue;
            }
            for frame_colour in [None, Some(Colour([0x7a, 0, 0]))] {
                let style = |format| Style {
                    format,
                    size: 600,
                    caption: caption.to_owned(),
                    frame,
                    frame_colour,
                    ..Style::default()
                };
                assert_eq!(drawn(&style(Format::Png)).pixels, drawn(&style(Format::Svg)).pixels);
            }
        }
    }
}

#[test]
fn nothing_of_a_file_gets_through_but_its_pixels() {
    let mut file = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut file, 8, 8);
    encoder.set_color(::png::ColorType::Rgba);
    encoder.add_text_chunk("Comment".into(), "<script>canary</script>".into()).expect("a text");
    encoder.write_header().and_then(|mut writer| writer.write_image_data(&[200; 8 * 8 * 4])).expect("memory");
    let logo = Logo::read(&file).expect("a PNG");
    for format in [Format::Png, Format::Svg] {
        let style = Style { format, level: Level::High, logo: Some(logo.clone()), ..Style::default() };
        let bytes = draw(TEXT, &style).expect("drawable").bytes;
        assert!(!String::from_utf8_lossy(&bytes).contains("canary"));
    }
    for (bad, what) in [
        (&b"GIF89a"[..], "another format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "active"),
        (&file[..40], "half of one"),
        (&vec![0; 200 * 1024], "too large"),
        (b"", "nothing"),
    ] {
        assert!(Logo::read(bad).is_err(), "{what}");
    }
    let wide = png::colours(2049, 1, &[[0; 3]; 2049]);
    assert!(Logo::read(&wide).is_err(), "too wide");
}

#[test]
fn a_logo_is_not_bent() {
    let seen = logo().on(Colour::WHITE, 20);
    assert!(seen[..20 * 5].iter().all(|pixel| *pixel == [255; 3]), "twice as wide as high");
    assert!(seen[20 * 5..20 * 15].iter().all(|pixel| *pixel != [255; 3]));
}
