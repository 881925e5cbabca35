use super::*;

#[test]
fn recorded_user_agents_say_what_they_run() {
    use {Browser as B, DeviceType as D, OperatingSystem as S};
    for (agent, system, version, device, browser) in [
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
            S::Ios,
            "17.5.1",
            D::Phone,
            B::Safari,
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1",
            S::Ios,
            "26.0",
            D::Phone,
            B::Safari,
        ),
        (
            "Mozilla/5.0 (iPhone; U; CPU iPhone OS 4_3_2 like Mac OS X; en-us) AppleWebKit/533.17.9 (KHTML, like Gecko) Version/5.0.2 Mobile/8H7 Safari/6533.18.5",
            S::Ios,
            "4.3.2",
            D::Phone,
            B::Safari,
        ),
        (
            "Mozilla/5.0 (iPad; CPU OS 16_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1",
            S::Ios,
            "16.7",
            D::Tablet,
            B::Chrome,
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/127.0 Mobile/15E148 Safari/605.1.15",
            S::Ios,
            "17.5",
            D::Phone,
            B::Firefox,
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 EdgiOS/125.0.2535.60 Mobile/15E148 Safari/605.1.15",
            S::Ios,
            "17.5",
            D::Phone,
            B::Edge,
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1 OPT/4.7.0",
            S::Ios,
            "17.5",
            D::Phone,
            B::Opera,
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
            S::Ios,
            "17.5",
            D::Phone,
            B::InApp,
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 335.0.0.27.93 (iPhone14,5; iOS 17_5; en_US; scale=3.00)",
            S::Ios,
            "17.5",
            D::Phone,
            B::Instagram,
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [FBAN/FBIOS;FBAV/466.0.0;FBDV/iPhone14,5]",
            S::Ios,
            "17.5",
            D::Phone,
            B::Facebook,
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [FBAN/MessengerForiOS;FBAV/460.0]",
            S::Ios,
            "17.5",
            D::Phone,
            B::Messenger,
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) GSA/320.0.638488480 Mobile/15E148 Safari/604.1",
            S::Ios,
            "17.5",
            D::Phone,
            B::GoogleApp,
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 musical_ly_34.9.0 BytedanceWebview/d8a21c6",
            S::Ios,
            "17.5",
            D::Phone,
            B::Tiktok,
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Safari Line/14.9.0",
            S::Ios,
            "17.5",
            D::Phone,
            B::Line,
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Twitter for iPhone/10.43",
            S::Ios,
            "17.5",
            D::Phone,
            B::X,
        ),
        (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
            S::Android,
            "",
            D::Phone,
            B::Chrome,
        ),
        (
            "Mozilla/5.0 (Linux; Android 9; SM-T830) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
            S::Android,
            "9",
            D::Tablet,
            B::Chrome,
        ),
        (
            "Mozilla/5.0 (Linux; Android 13; SM-S901B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36",
            S::Android,
            "13",
            D::Phone,
            B::SamsungInternet,
        ),
        (
            "Mozilla/5.0 (Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0",
            S::Android,
            "14",
            D::Phone,
            B::Firefox,
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36 EdgA/125.0.2535.72",
            S::Android,
            "14",
            D::Phone,
            B::Edge,
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36 OPR/82.0.0.0",
            S::Android,
            "14",
            D::Phone,
            B::Opera,
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; Pixel 8; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0 Mobile Safari/537.36",
            S::Android,
            "14",
            D::Phone,
            B::InApp,
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; Pixel 8; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0 Mobile Safari/537.36 Instagram 335.0.0",
            S::Android,
            "14",
            D::Phone,
            B::Instagram,
        ),
        (
            "Mozilla/5.0 (Linux; U; Android 12; zh-cn; M2012K11AC) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/100.0.4896.127 Mobile Safari/537.36 XiaoMi/MiuiBrowser/16.8.20",
            S::Android,
            "12",
            D::Phone,
            B::Unspecified,
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
            S::Windows,
            "10.0",
            D::Desktop,
            B::Edge,
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0",
            S::Windows,
            "10.0",
            D::Desktop,
            B::Firefox,
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
            S::Macos,
            "10.15.7",
            D::Desktop,
            B::Safari,
        ),
        (
            "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
            S::Chromeos,
            "14541.0.0",
            D::Desktop,
            B::Chrome,
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
            S::Linux,
            "",
            D::Desktop,
            B::Chrome,
        ),
        (
            "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) 76.0.3809.146/6.0 TV Safari/537.36",
            S::Unspecified,
            "",
            D::Unspecified,
            B::Unspecified,
        ),
        ("curl/8.8.0", S::Unspecified, "", D::Unspecified, B::Unspecified),
        ("", S::Unspecified, "", D::Unspecified, B::Unspecified),
        // Programs, whatever they claim to be.
        ("LinkedInBot/1.0 (compatible; Mozilla/5.0)", S::Unspecified, "", D::Unspecified, B::Unspecified),
    ] {
        let software = Software::of(agent);
        let expected = Software { system, version: Version::parse(version), device, browser };
        assert_eq!(software, expected, "{agent}");
    }
}

#[test]
fn any_app_stands_for_every_app_and_for_no_browser() {
    for (browser, wanted, is) in [
        (Browser::Chrome, Browser::Chrome, true),
        (Browser::Chrome, Browser::Safari, false),
        (Browser::Instagram, Browser::InApp, true),
        (Browser::InApp, Browser::InApp, true),
        (Browser::InApp, Browser::Instagram, false),
        (Browser::Opera, Browser::InApp, false),
        (Browser::Unspecified, Browser::InApp, false),
    ] {
        assert_eq!(is_browser(browser, wanted), is, "{browser:?} {wanted:?}");
    }
}
