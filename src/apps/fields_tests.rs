//! What is read of an app, and what is wrong with others.

use super::*;

const FINGERPRINT: &str =
    "14:6D:E9:83:C5:73:06:50:D8:EE:B9:95:2F:34:FC:64:16:A0:83:42:E6:1D:BE:A8:8A:04:96:B2:3F:CF:44:E5";

fn good() -> v1::App {
    v1::App {
        name: "Shop".into(),
        ios: Some(v1::IosApp {
            bundle_id: "com.example.shop".into(),
            app_id_prefixes: vec!["ABCDE12345".into()],
            ..v1::IosApp::default()
        }),
        android: Some(v1::AndroidApp {
            package_name: "com.example.shop".into(),
            sha256_fingerprints: vec![FINGERPRINT.into()],
            ..v1::AndroidApp::default()
        }),
        ..v1::App::default()
    }
}

fn read(app: v1::App) -> (v1::App, Vec<String>) {
    let mut wrong = Violations::default();
    let read = check(app, Extent::Complete, &mut wrong);
    (read, wrong.into_inner().into_iter().map(|violation| violation.field).collect())
}

fn ios(change: impl FnOnce(&mut v1::IosApp)) -> Vec<String> {
    let mut app = good();
    change(app.ios.as_mut().expect("it has one"));
    read(app).1
}

fn android(change: impl FnOnce(&mut v1::AndroidApp)) -> Vec<String> {
    let mut app = good();
    change(app.android.as_mut().expect("it has one"));
    read(app).1
}

#[test]
fn what_is_read_is_in_one_form_and_stays_in_it() {
    let mut app = good();
    app.name = " Shop ".into();
    app.url_schemes = vec!["MyApp".into(), "myapp".into(), "com.example.shop".into()];
    app.hosts = vec!["GO.Example.com.".into(), "käse.example".into(), "go.example.com".into()];
    app.ios.as_mut().expect("it has one").app_id_prefixes.push("ABCDE12345".into());
    let plain = FINGERPRINT.replace(':', "").to_lowercase();
    app.android.as_mut().expect("it has one").sha256_fingerprints.push(plain);
    let (read_once, wrong) = read(app);
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(read_once.name, "Shop");
    assert_eq!(read_once.url_schemes, ["myapp", "com.example.shop"]);
    assert_eq!(read_once.hosts, ["go.example.com", "xn--kse-qla.example"]);
    assert_eq!(read_once.ios.as_ref().expect("it has one").app_id_prefixes, ["ABCDE12345"]);
    assert_eq!(read_once.android.as_ref().expect("it has one").sha256_fingerprints, [FINGERPRINT]);
    assert_eq!(read(read_once.clone()), (read_once, Vec::new()));
}

#[test]
fn fingerprints_are_read_as_tools_print_them() {
    let plain = FINGERPRINT.replace(':', "");
    for text in [
        FINGERPRINT.to_owned(),
        plain.clone(),
        plain.to_lowercase(),
        FINGERPRINT.to_lowercase(),
        FINGERPRINT.replace(':', " "),
        format!(" {FINGERPRINT} "),
        FINGERPRINT.replace(':', "-"),
    ] {
        assert_eq!(fingerprint(&text).as_deref(), Ok(FINGERPRINT), "{text}");
    }
    for (text, why) in [
        (plain[..40].to_owned(), "SHA-1"),
        (plain[..32].to_owned(), "MD5"),
        (plain[..62].to_owned(), "64 hexadecimal"),
        (format!("{plain}00"), "64 hexadecimal"),
        (plain.replace('6', "g"), "64 hexadecimal"),
        (String::new(), "64 hexadecimal"),
        ("ä".repeat(32), "64 hexadecimal"),
    ] {
        assert!(fingerprint(&text).expect_err(&text).contains(why), "{text}");
    }
}

#[test]
fn ids_follow_the_grammars_of_their_stores() {
    for (text, bundle, package) in [
        ("com.example.shop", true, true),
        ("com.Example.Shop2", true, true),
        ("com.example.my-shop", true, false),
        ("com.example.my_shop", false, true),
        ("com.2example", true, false),
        ("com._x", false, false),
        ("shop", false, false),
        ("", false, false),
        (".com", false, false),
        ("com.", false, false),
        ("com..shop", false, false),
        ("com.exämple", false, false),
        ("com.example.*", false, false),
        (&format!("com.{}", "a".repeat(151)), true, true),
        (&format!("com.{}", "a".repeat(152)), false, true),
        (&format!("com.{}", "a".repeat(220)), false, false),
    ] {
        assert_eq!((bundle_id(text).is_ok(), package_name(text).is_ok()), (bundle, package), "{text}");
    }
    for (text, fine) in
        [("ABCDE12345", true), ("abcde12345", false), ("ABCDE1234", false), ("ABCDE123456", false)]
    {
        assert_eq!(prefix(text).is_ok(), fine, "{text}");
    }
    for (text, fine) in [
        ("myapp", true),
        ("a", true),
        ("MYAPP", true),
        ("", false),
        ("1a", false),
        ("my app", false),
        ("myapp://", false),
        ("https", false),
        ("JavaScript", false),
    ] {
        assert_eq!(scheme(text).is_ok(), fine, "{text}");
    }
    for (text, fine) in [
        ("go.example.com", true),
        ("localhost", true),
        ("https://a.example", false),
        ("a.example:80", false),
        ("a.example/x", false),
        ("", false),
        ("*.example.com", false),
        ("127.0.0.1", false),
        ("a b", false),
    ] {
        assert_eq!(host(text).is_ok(), fine, "{text}");
    }
}

#[test]
fn everything_that_is_wrong_is_told() {
    let wrong = read(v1::App {
        ios: Some(v1::IosApp {
            app_store_id: "id123".into(),
            app_clip_bundle_ids: vec!["clip".into()],
            ..v1::IosApp::default()
        }),
        android: Some(v1::AndroidApp { play_store_id: "x".into(), ..v1::AndroidApp::default() }),
        url_schemes: vec!["http".into()],
        hosts: vec!["a/b".into()],
        ..v1::App::default()
    });
    assert_eq!(
        wrong.1,
        [
            "app.name",
            "app.url_schemes[0]",
            "app.hosts[0]",
            "app.ios.bundle_id",
            "app.ios.app_id_prefixes",
            "app.ios.app_store_id",
            "app.ios.app_clip_bundle_ids[0]",
            "app.android.package_name",
            "app.android.sha256_fingerprints",
            "app.android.play_store_id",
        ]
    );
    assert_eq!(read(v1::App { name: "Shop".into(), ..v1::App::default() }).1, ["app"]);
    let many = |count: usize| (0..count).map(|number| format!("a{number}.example")).collect::<Vec<_>>();
    assert_eq!(read(v1::App { hosts: many(101), ..good() }).1, ["app.hosts"]);
    assert_eq!(read(v1::App { hosts: many(100), ..good() }).1, Vec::<String>::new());
}

#[test]
fn a_clip_belongs_to_its_app() {
    for (clip, fine) in [
        ("com.example.shop.Clip", true),
        ("com.example.shopping.Clip", false),
        ("com.example.shop", false),
        ("com.other.Clip", false),
    ] {
        let wrong = ios(|ios| ios.app_clip_bundle_ids = vec![clip.into()]);
        assert_eq!(wrong.is_empty(), fine, "{clip}: {wrong:?}");
    }
}

#[test]
fn components_are_checked_part_by_part() {
    let item = |name: &str, value: &str| v1::QueryItemPattern { name: name.into(), value: value.into() };
    let component = v1::AppleComponent {
        path: Some("buy".into()),
        query: Some("x".repeat(501)),
        query_items: vec![item("", "\n"), item("a", ""), item("a", "$(no)")],
        fragment: Some("$(nothing)".into()),
        comment: "x".repeat(201),
        ..Default::default()
    };
    let wrong = ios(|ios| ios.components = vec![v1::AppleComponent::default(), component]);
    let at = |field: &str| format!("app.ios.components[1].{field}");
    assert_eq!(
        wrong,
        [
            at("query"),
            at("query_items[0].value"),
            at("query_items[2].value"),
            at("fragment"),
            at("path"),
            at("query_items"),
            at("query_items[0].name"),
            at("query_items[1].name"),
            at("query_items[2].name"),
            at("comment"),
        ]
    );
    let component = v1::AndroidComponent {
        path: Some("$(lang)".into()),
        query_items: vec![item("a", &"x".repeat(501))],
        fragment: Some("\t".into()),
        comment: "\n".into(),
        ..Default::default()
    };
    let wrong = android(|android| android.components = vec![component]);
    let at = |field: &str| format!("app.android.components[0].{field}");
    assert_eq!(wrong, [at("path"), at("query_items[0].value"), at("fragment"), at("comment")]);
    let empty = || v1::AndroidComponent {
        path: Some(String::new()),
        query_items: vec![item("a", "")],
        fragment: Some(String::new()),
        ..Default::default()
    };
    let wrong = android(|android| android.components = vec![empty()]);
    assert_eq!(wrong, [at("path"), at("query_items[0].value"), at("fragment")]);
    let nothing = || vec![v1::AndroidComponent { exclude: true, ..Default::default() }];
    assert_eq!(android(|android| android.components = nothing()), ["app.android.components[0]"]);
    assert_eq!(ios(|ios| ios.components = vec![Default::default(); 201]), ["app.ios.components"]);
    assert_eq!(android(|app| app.components = vec![Default::default(); 201]), ["app.android.components"]);
    for path in ["/", "*", "?*", "$(lang)/x", "/$(lang)"] {
        let component = v1::AppleComponent { path: Some(path.into()), ..Default::default() };
        assert_eq!(ios(|ios| ios.components = vec![component]), Vec::<String>::new(), "{path}");
    }
}

#[test]
fn variables_have_names_of_their_own_and_plain_values() {
    let variable = |name: &str, values: &[&str]| v1::SubstitutionVariable {
        name: name.into(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    let wrong = ios(|ios| {
        ios.substitution_variables = vec![
            variable("food", &["pizza", "s*shi"]),
            variable("", &["x"]),
            variable("a(b", &["x"]),
            variable("lang", &["x"]),
            variable("twice", &["x"]),
            variable("twice", &[]),
            variable("wrong", &["", "$(food)"]),
        ];
        let path = Some("/$(food)/$(lang)".into());
        ios.components = vec![v1::AppleComponent { path, ..Default::default() }];
    });
    let at = |field: &str| format!("app.ios.substitution_variables{field}");
    assert_eq!(
        wrong,
        [
            at("[1].name"),
            at("[2].name"),
            at("[3].name"),
            at("[4].name"),
            at("[5].name"),
            at("[5].values"),
            at("[6].values[0]"),
            at("[6].values[1]"),
        ]
    );
}

#[test]
fn an_app_is_no_larger_than_a_file() {
    let component =
        |number| v1::AppleComponent { path: Some(format!("/{number:0499}")), ..Default::default() };
    let components = |count: usize| (0..count).map(component).collect::<Vec<_>>();
    assert_eq!(ios(|ios| ios.components = components(200)), ["app"], "500 bytes and more each");
    assert_eq!(ios(|ios| ios.components = components(190)), Vec::<String>::new());
}

#[test]
fn a_mask_says_what_is_meant() {
    let given = v1::App {
        name: "New".into(),
        ios: Some(v1::IosApp { app_store_id: "7".into(), webcredentials: true, ..Default::default() }),
        ..v1::App::default()
    };
    for (paths, name, store_id, webcredentials, has_android) in [
        (&["name"][..], "New", "", false, true),
        (&["ios.app_store_id", "etag"], "Shop", "7", false, true),
        (&["ios.webcredentials", "android"], "Shop", "", true, false),
        (&["*"], "New", "7", true, false),
        (&[], "New", "7", true, true),
    ] {
        let mask = FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() };
        let mut wrong = Violations::default();
        let fields = read_mask(Some(&mask), &given, &mut wrong);
        let mut app = good();
        copy(&fields, &given, &mut app);
        let ios = app.ios.expect("it has one");
        assert!(wrong.is_empty(), "{paths:?}");
        assert_eq!(
            (app.name.as_str(), ios.app_store_id.as_str(), ios.webcredentials, app.android.is_some()),
            (name, store_id, webcredentials, has_android),
            "{paths:?}"
        );
        // Only a whole platform takes the rest of it along.
        assert_eq!(ios.bundle_id.is_empty(), paths.is_empty() || paths == ["*"], "{paths:?}");
    }
    let mask = FieldMask { paths: ["Name", "ios.x", "", "ios"].map(str::to_owned).to_vec() };
    let mut wrong = Violations::default();
    assert_eq!(read_mask(Some(&mask), &given, &mut wrong), [Field::Ios].into());
    assert_eq!(wrong.into_inner().len(), 3);
}

/// Of a part, what is not there is not missed, and what patterns name may be what is stored.
#[test]
fn a_part_is_checked_as_far_as_it_goes() {
    let component = v1::AppleComponent { path: Some("/$(food)".into()), ..Default::default() };
    let part = v1::App {
        ios: Some(v1::IosApp { components: vec![component], ..Default::default() }),
        ..v1::App::default()
    };
    let mut wrong = Violations::default();
    check(part.clone(), Extent::Part, &mut wrong);
    assert!(wrong.is_empty(), "{wrong:?}");
    let fields = read(part).1;
    assert_eq!(
        fields,
        ["app.name", "app.ios.bundle_id", "app.ios.app_id_prefixes", "app.ios.components[0].path"]
    );
}
