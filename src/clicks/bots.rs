//! Whether a visit was made by a person: pure readings of the method and the user agent.

/// Who made a visit, and if no person, how we know. The numbers are stored with every click.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i16)]
pub enum Bot {
    /// A person, as far as can be told.
    No = 0,
    /// The request method is one that browsers do not follow links with.
    Method = 1,
    /// The user agent names a crawler, a preview or a tool.
    UserAgent = 2,
}

/// What the user agents of crawlers, link previews, monitors and tools contain, in lower case; collected from the names they
/// publish. The general words come first: they catch most.
const NAMES: &[&str] = &[
    "bot",
    "crawl",
    "spider",
    "slurp",
    "preview",
    "fetcher",
    "scraper",
    "archiver",
    "validator",
    "monitor",
    "headless",
    "facebookexternalhit",
    "facebookcatalog",
    "meta-externalagent",
    "whatsapp/",
    "skypeuripreview",
    "embedly",
    "quora link",
    "outbrain",
    "vkshare",
    "w3c_",
    "bitlybot",
    "flipboard",
    "tumblr/",
    "nuzzel",
    "qwantify",
    "google-inspectiontool",
    "googleother",
    "google-read-aloud",
    "mediapartners-google",
    "apis-google",
    "feedfetcher",
    "lighthouse",
    "pagespeed",
    "gtmetrix",
    "pingdom",
    "uptime",
    "statuscake",
    "site24x7",
    "datadog",
    "newrelic",
    "nagios",
    "zabbix",
    "curl/",
    "wget/",
    "httpie/",
    "libwww",
    "python-",
    "aiohttp",
    "httpx/",
    "go-http-client",
    "okhttp/",
    "java/",
    "apache-httpclient",
    "axios/",
    "node-fetch",
    "undici",
    "got (",
    "ruby",
    "perl",
    "php/",
    "guzzle",
    "postman",
    "insomnia",
    "scrapy",
    "phantomjs",
    "selenium",
    "puppeteer",
    "playwright",
    "wrk/",
    "k6/",
    "jmeter",
    "nutch",
    "ia_archiver",
    "chatgpt-user",
    "claude-web",
    "anthropic-ai",
    "perplexity",
    "bytespider",
    "mattermost",
    "iframely",
    "snap url preview",
];

/// Reads the request method.
pub fn by_method(method: &http::Method) -> Bot {
    if method == http::Method::HEAD || method == http::Method::OPTIONS { Bot::Method } else { Bot::No }
}

/// Reads the user agent. An empty one is a person with a privacy tool until something else says otherwise.
pub fn by_user_agent(agent: &str) -> Bot {
    let lower = agent.to_ascii_lowercase();
    // The Cubot is a telephone.
    let named = NAMES.iter().any(|name| lower.contains(name)) && !lower.contains("cubot");
    if named || woothee::is_crawler(agent) { Bot::UserAgent } else { Bot::No }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crawlers_previews_and_tools_are_no_people() {
        for agent in [
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
            "WhatsApp/2.23.20.0",
            "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0 Safari/537.36",
            "curl/8.5.0",
            "python-requests/2.31",
            "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        ] {
            assert_eq!(by_user_agent(agent), Bot::UserAgent, "{agent}");
        }
    }

    #[test]
    fn people_are_people() {
        for agent in [
            "",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
            "Mozilla/5.0 (Linux; Android 9; CUBOT X19) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Mobile Safari/537.36",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0",
        ] {
            assert_eq!(by_user_agent(agent), Bot::No, "{agent}");
        }
    }

    #[test]
    fn links_are_followed_with_get() {
        assert_eq!(by_method(&http::Method::GET), Bot::No);
        assert_eq!(by_method(&http::Method::HEAD), Bot::Method);
    }
}
