//! User agents as browsers, in-app browsers, previews and bots send them, through the front door: which store they come to,
//! and what is written down of them.

use std::collections::HashMap;

use linkforty::{entity::click, pb::v1::Link};
use sea_orm::EntityTrait as _;

use crate::support::{App, Store, get, link};

const IOS: &str = "https://apps.apple.com/app/id1";
const ANDROID: &str = "https://play.google.com/store/apps/details?id=a";
const WEB: &str = "https://example.com/web";
const DESTINATION: &str = "https://example.com/any";

/// Who holds the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum In {
    /// A browser of their own on an iPhone or iPad: the store, then the web.
    Ios,
    /// A browser inside an app there: the web, then the store.
    IosApp,
    Android,
    AndroidApp,
    /// Anything else: the web.
    Desktop,
}
use In::{Android, AndroidApp, Desktop, Ios, IosApp};

impl In {
    /// Returns where visitors go on a link that leads to stores and to the web, and on one that leads to stores alone, with the
    /// steps that are stored for it.
    fn goes(self) -> [(&'static str, i16); 2] {
        match self {
            Ios => [(IOS, 1), (IOS, 1)],
            IosApp => [(WEB, 3), (IOS, 1)],
            Android => [(ANDROID, 2), (ANDROID, 2)],
            AndroidApp => [(WEB, 3), (ANDROID, 2)],
            Desktop => [(WEB, 3), (DESTINATION, 4)],
        }
    }

    /// Returns the number of the platform that is stored.
    fn platform(self) -> i16 {
        match self {
            Desktop => 0,
            Ios | IosApp => 1,
            Android | AndroidApp => 2,
        }
    }
}

/// People. Apps that `linkforty.md` 4.7 names on one system only are browsers as any on the other.
const PEOPLE: &[(&str, In, &str)] = &[
    (
        "Safari on an iPhone",
        Ios,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    ),
    (
        "Safari on an iPad as a mobile",
        Ios,
        "Mozilla/5.0 (iPad; CPU OS 12_5_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1.2 Mobile/15E148 Safari/604.1",
    ),
    (
        "Safari on an iPod",
        Ios,
        "Mozilla/5.0 (iPod touch; CPU iPhone OS 12_5_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1.2 Mobile/15E148 Safari/604.1",
    ),
    (
        "Chrome on an iPhone",
        Ios,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1",
    ),
    (
        "Firefox on an iPhone",
        Ios,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/127.0 Mobile/15E148 Safari/605.1.15",
    ),
    (
        "Edge on an iPhone",
        Ios,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 EdgiOS/125.0.2535.96 Mobile/15E148 Safari/605.1.15",
    ),
    (
        "Opera on an iPhone",
        Ios,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1 OPT/4.7.0",
    ),
    (
        "DuckDuckGo on an iPhone",
        Ios,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 DuckDuckGo/7 Safari/605.1.15",
    ),
    (
        "the Google app on an iPhone",
        IosApp,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) GSA/320.0.650066168 Mobile/15E148 Safari/604.1",
    ),
    (
        "Gmail on an iPhone",
        IosApp,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Gmail/6.0.230924 Mobile/15E148",
    ),
    (
        "Facebook on an iPhone",
        IosApp,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21E236 [FBAN/FBIOS;FBAV/463.0.0.35.104;FBBV/601006188;FBDV/iPhone14,5;FBMD/iPhone;FBSN/iOS;FBSV/17.4.1;FBSS/3;FBID/phone;FBLC/en_US;FBOP/5;FBRV/602859190]",
    ),
    (
        "Messenger on an iPhone",
        IosApp,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21E236 [FBAN/MessengerForiOS;FBAV/457.0.0.36.110;FBDV/iPhone15,2;FBSN/iOS;FBSV/17.4.1;FBLC/de_DE]",
    ),
    (
        "Instagram on an iPhone",
        IosApp,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21E236 Instagram 331.0.2.30.93 (iPhone14,5; iOS 17_4_1; en_US; en; scale=3.00; 1170x2532; 597082411)",
    ),
    (
        "Twitter on an iPhone",
        IosApp,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Twitter for iPhone/10.37",
    ),
    (
        "LinkedIn on an iPhone",
        IosApp,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [LinkedInApp]/9.29.8962",
    ),
    (
        "WeChat on an iPhone",
        IosApp,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.49(0x18003129) NetType/WIFI Language/zh_CN",
    ),
    (
        "Outlook on an iPhone",
        IosApp,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Outlook-iOS/709.2189947.prod.iphone (3.24.0)",
    ),
    (
        "Yahoo Mail on an iPhone",
        IosApp,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 15_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 YahooMobileMail/1.0 (iOS Mail; 6.28.0) (iPhone13,2;Apple;Apple;2532x1170;iOS 15.2;)",
    ),
    (
        "LINE on an iPhone",
        Ios,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Safari Line/14.8.0",
    ),
    (
        "KakaoTalk on an iPhone",
        Ios,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 KAKAOTALK 10.7.1",
    ),
    (
        "Pinterest on an iPhone",
        Ios,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [Pinterest/iOS]",
    ),
    (
        "Snapchat on an iPhone",
        Ios,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21E236 Snapchat/12.87.0.40 (like Safari/8617.2.4.10.8, panda)",
    ),
    (
        "TikTok on an iPhone",
        Ios,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21E236 musical_ly_34.9.0 JsSdk/2.0 NetType/WIFI Channel/App Store ByteLocale/en Region/US isDarkMode/0 WKWebView/1 BytedanceWebview/d8a21c6",
    ),
    (
        "Tumblr on an iPhone",
        Ios,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Tumblr/iPhone/34.5/345000/17.4/tumblr",
    ),
    (
        "Chrome on Android",
        Android,
        "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
    ),
    (
        "Chrome on Android, reduced",
        Android,
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/127.0.0.0 Mobile Safari/537.36",
    ),
    ("Firefox on Android", Android, "Mozilla/5.0 (Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0"),
    (
        "Samsung Internet",
        Android,
        "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36",
    ),
    (
        "Huawei Browser",
        Android,
        "Mozilla/5.0 (Linux; Android 10; ELS-NX9; HMSCore 6.13.0.302) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/99.0.4844.88 HuaweiBrowser/14.0.5.303 Mobile Safari/537.36",
    ),
    (
        "UC Browser",
        Android,
        "Mozilla/5.0 (Linux; U; Android 12; en-US; RMX3286 Build/SP1A.210812.016) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/100.0.4896.58 UCBrowser/13.4.0.1306 Mobile Safari/537.36",
    ),
    (
        "Opera on Android",
        Android,
        "Mozilla/5.0 (Linux; Android 13; SM-A536B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Mobile Safari/537.36 OPR/82.2.4342.79244",
    ),
    (
        "Opera Mini",
        Android,
        "Opera/9.80 (Android; Opera Mini/36.2.2254/191.299; U; id) Presto/2.12.423 Version/12.16",
    ),
    (
        "Edge on Android",
        Android,
        "Mozilla/5.0 (Linux; Android 10; HD1913) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.6422.113 Mobile Safari/537.36 EdgA/124.0.2478.104",
    ),
    (
        "the browser of Xiaomi",
        Android,
        "Mozilla/5.0 (Linux; U; Android 13; en-gb; 22101316G Build/TP1A.220624.014) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/109.0.5414.118 Mobile Safari/537.36 XiaoMi/MiuiBrowser/13.28.0-gn",
    ),
    (
        "Silk on a Fire tablet",
        Android,
        "Mozilla/5.0 (Linux; Android 9; KFMAWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/124.3.2 like Chrome/124.0.6367.82 Safari/537.36",
    ),
    (
        "the Cubot, a telephone",
        Android,
        "Mozilla/5.0 (Linux; Android 9; CUBOT X19) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36",
    ),
    (
        "an app with a WebView",
        AndroidApp,
        "Mozilla/5.0 (Linux; Android 13; SM-A515F Build/TP1A.220624.014; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/125.0.6422.165 Mobile Safari/537.36",
    ),
    (
        "Facebook on Android",
        AndroidApp,
        "Mozilla/5.0 (Linux; Android 14; SM-S911B Build/UP1A.231005.007; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/125.0.6422.147 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/467.0.0.46.110;]",
    ),
    (
        "Facebook on Android, its own engine",
        AndroidApp,
        "Mozilla/5.0 (Linux; Android 13; SM-G991U) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36 [FBAN/EMA;FBLC/en_US;FBAV/390.0.0.10.112;]",
    ),
    (
        "Instagram on Android",
        AndroidApp,
        "Mozilla/5.0 (Linux; Android 14; Pixel 7 Build/AP1A.240505.004; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/125.0.6422.113 Mobile Safari/537.36 Instagram 336.0.0.35.90 Android (34/14; 420dpi; 1080x2201; Google/google; Pixel 7; panther; panther; en_US; 610888483)",
    ),
    (
        "Twitter on Android",
        AndroidApp,
        "Mozilla/5.0 (Linux; Android 13; SM-A536B Build/TP1A.220624.014) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/124.0.6367.159 Mobile Safari/537.36 TwitterAndroid",
    ),
    (
        "LinkedIn on Android",
        AndroidApp,
        "Mozilla/5.0 (Linux; Android 13; Pixel 6a) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/125.0.6422.113 Mobile Safari/537.36 [LinkedInApp]/4.1.948",
    ),
    (
        "WeChat on Android",
        AndroidApp,
        "Mozilla/5.0 (Linux; Android 13; 22081212C Build/TKQ1.220829.002) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/116.0.0.0 Mobile Safari/537.36 XWEB/1160117 MMWEBSDK/20240301 MMWEBID/9276 MicroMessenger/8.0.48.2580(0x28003036) WeChat/arm64 Weixin NetType/5G Language/zh_CN ABI/arm64",
    ),
    (
        "Outlook on Android",
        AndroidApp,
        "Mozilla/5.0 (Linux; Android 14; SM-G990B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.6422.113 Mobile Safari/537.36 PKeyAuth/1.0 Outlook-Android/4.2419.2",
    ),
    (
        "LINE on Android",
        AndroidApp,
        "Mozilla/5.0 (Linux; Android 13; SO-52C Build/65.2.B.3.10) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/125.0.6422.113 Mobile Safari/537.36 Line/14.8.0/IAB",
    ),
    (
        "KakaoTalk on Android",
        AndroidApp,
        "Mozilla/5.0 (Linux; Android 14; SM-S928N Build/UP1A.231005.007) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/125.0.6422.147 Mobile Safari/537.36;KAKAOTALK 2410730",
    ),
    (
        "WhatsApp on Android",
        AndroidApp,
        "Mozilla/5.0 (Linux; Android 13; SM-A546E) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/124.0.6367.123 Mobile Safari/537.36 WhatsApp/2.24.11.79",
    ),
    (
        "Pinterest on Android",
        AndroidApp,
        "Mozilla/5.0 (Linux; Android 12; moto g(60)) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/125.0.6422.113 Mobile Safari/537.36 [Pinterest/Android]",
    ),
    (
        "Telegram on Android",
        AndroidApp,
        "Mozilla/5.0 (Linux; Android 14; K) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/127.0.0.0 Mobile Safari/537.36 Telegram-Android/10.14.5 (Samsung SM-A546B; Android 14; SDK 34; AVERAGE)",
    ),
    (
        "Snapchat on Android",
        AndroidApp,
        "Mozilla/5.0 (Linux; Android 13; SM-A146P) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/125.0.6422.113 Mobile Safari/537.36 Snapchat/12.90.0.46 (SM-A146P; Android 13#A146PXXS6CXC1#33; gzip; )",
    ),
    (
        "TikTok on Android",
        AndroidApp,
        "Mozilla/5.0 (Linux; Android 13; 2201117TY Build/TKQ1.221114.001; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/125.0.6422.113 Mobile Safari/537.36 trill_340905 JsSdk/1.0 NetType/WIFI Channel/googleplay AppName/musical_ly app_version/34.9.5 ByteLocale/en ByteFullLocale/en Region/GB AppId/1233 BytedanceWebview/d8a21c6",
    ),
    (
        "the Google app on Android",
        Android,
        "Mozilla/5.0 (Linux; Android 13; SM-A136U) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.6422.113 Mobile Safari/537.36 GSA/15.21.33.29.arm64",
    ),
    (
        "an iPad that asks for desktop pages",
        Desktop,
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    ),
    (
        "Chrome on Windows",
        Desktop,
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    ),
    (
        "Edge on Windows",
        Desktop,
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36 Edg/125.0.2535.92",
    ),
    ("Firefox on Linux", Desktop, "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"),
    (
        "Chrome on a Chromebook",
        Desktop,
        "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36",
    ),
    (
        "Opera on a Mac",
        Desktop,
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36 OPR/110.0.0.0",
    ),
    (
        "Mattermost on a desktop",
        Desktop,
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Mattermost/5.8.1 Chrome/124.0.6367.243 Electron/30.1.0 Safari/537.36",
    ),
    (
        "Instagram on Windows",
        Desktop,
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; WebView/3.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edge/18.19045 Instagram 42.0.19",
    ),
    ("nobody in particular", Desktop, ""),
];

const BOT: i16 = 2;
const PREVIEW: i16 = 4;
const MONITOR: i16 = 6;

/// Programs: the class that is stored, and the platform they claim.
const PROGRAMS: &[(i16, i16, &str)] = &[
    (PREVIEW, 0, "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)"),
    (
        PREVIEW,
        0,
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
    ),
    (PREVIEW, 0, "Twitterbot/1.0"),
    (PREVIEW, 0, "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)"),
    (PREVIEW, 0, "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"),
    (PREVIEW, 0, "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)"),
    (PREVIEW, 0, "TelegramBot (like TwitterBot)"),
    (PREVIEW, 0, "WhatsApp/2.23.20.0"),
    (PREVIEW, 0, "WhatsApp/2.21.12.21 A"),
    (PREVIEW, 0, "Pinterest/0.2 (+https://www.pinterest.com/bot.html)"),
    (
        PREVIEW,
        1,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 13_2_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0.3 Mobile/15E148 Safari/604.1 (compatible; Pinterestbot/1.0; +https://www.pinterest.com/bot.html)",
    ),
    (PREVIEW, 0, "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5"),
    (PREVIEW, 0, "Mozilla/5.0 (compatible; redditbot/1.0; +http://www.reddit.com/feedback)"),
    (PREVIEW, 0, "Mozilla/5.0 (compatible; Bluesky Cardyb/1.1; +mailto:support@bsky.app)"),
    (PREVIEW, 0, "http.rb/5.1.1 (Mastodon/4.2.8; +https://mastodon.social/)"),
    (PREVIEW, 0, "Mozilla/5.0 (compatible; vkShare; +http://vk.com/dev/Share)"),
    (PREVIEW, 0, "Mozilla/5.0 (compatible; Embedly/0.2; +http://support.embed.ly/)"),
    (PREVIEW, 0, "Iframely/1.3.1 (+https://iframely.com/docs/about)"),
    (PREVIEW, 0, "facebookexternalhit/1.1; kakaotalk-scrap/1.0; +https://devtalk.kakao.com/t/scrap/33984"),
    (PREVIEW, 0, "facebookexternalhit/1.1;line-poker/1.0"),
    (
        BOT,
        2,
        "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.6422.175 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    ),
    (
        BOT,
        0,
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/116.0.1938.76 Safari/537.36",
    ),
    (
        BOT,
        0,
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.1.1 Safari/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)",
    ),
    (
        BOT,
        0,
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.0; +https://openai.com/gptbot)",
    ),
    (
        BOT,
        0,
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0.0.0 Safari/537.36",
    ),
    (BOT, 0, "curl/8.5.0"),
    (BOT, 0, "Go-http-client/1.1"),
    (MONITOR, 0, "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)"),
    (MONITOR, 0, "kube-probe/1.30"),
];

/// Returns what is stored of each click, by its query: class, platform, step.
async fn stored(app: &App) -> HashMap<String, (i16, i16, i16)> {
    app.settled().await;
    let clicks = click::Entity::find().all(&app.env().db.api).await.expect("clicks can be read");
    let rows = clicks.into_iter();
    rows.map(|click| (click.query.unwrap_or_default(), (click.class, click.platform, click.step))).collect()
}

#[tokio::test]
async fn people_come_to_the_store_or_to_the_web_by_the_browser_they_hold() {
    let app = App::start(Store::Embedded).await;
    let tenant = app.tenant().await;
    let pair = Link { ios_url: IOS.into(), android_url: ANDROID.into(), ..link("stores", DESTINATION) };
    let all = Link { short_code: "all".into(), web_url: WEB.into(), ..pair.clone() };
    for link in [pair, all] {
        tenant.create(Link { forward_query: Some(false), ..link }).await;
    }
    assert!(PEOPLE.len() >= 40);
    // The second time it is remembered what they hold.
    for round in ["first", "second"] {
        for (number, (who, holds, agent)) in PEOPLE.iter().enumerate() {
            for (code, (url, _)) in ["all", "stores"].into_iter().zip(holds.goes()) {
                let path = format!("/{code}?{code}-{number}-{round}");
                let answer = get(app.links(), &path, &[("user-agent", agent)]).await;
                assert_eq!(answer.leads_to(), url, "{who}, {code}, the {round} time");
            }
        }
    }
    let stored = stored(&app).await;
    for (number, (who, holds, _)) in PEOPLE.iter().enumerate() {
        for (code, (_, step)) in ["all", "stores"].into_iter().zip(holds.goes()) {
            for round in ["first", "second"] {
                let kept = stored[&format!("{code}-{number}-{round}")];
                assert_eq!(kept, (0, holds.platform(), step), "{who}, {code}, the {round} time");
            }
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn programs_are_no_people_whatever_they_claim() {
    let app = App::start(Store::Embedded).await;
    app.tenant().await.create(link("all", DESTINATION)).await;
    for (number, (_, _, agent)) in PROGRAMS.iter().enumerate() {
        get(app.links(), &format!("/all?{number}"), &[("user-agent", agent)]).await;
    }
    let stored = stored(&app).await;
    for (number, (class, platform, agent)) in PROGRAMS.iter().enumerate() {
        let (kept_class, kept_platform, _) = stored[&number.to_string()];
        assert_eq!((kept_class, kept_platform), (*class, *platform), "{agent}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_flood_of_made_up_browsers_keeps_nobody_from_his_store() {
    let app = App::start(Store::Embedded).await;
    let made = Link { ios_url: IOS.into(), ..link("all", DESTINATION) };
    app.tenant().await.create(made).await;
    let (_, _, iphone) = PEOPLE[0];
    for number in 0..500 {
        let flood = format!("Mozilla/5.0 (Windows NT 10.0; flood {number})");
        let answer = get(app.links(), "/all", &[("user-agent", &flood)]).await;
        assert_eq!(answer.leads_to(), DESTINATION);
    }
    let answer = get(app.links(), "/all", &[("user-agent", iphone)]).await;
    assert_eq!(answer.leads_to(), IOS);
    app.stop().await;
}
