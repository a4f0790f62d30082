//! What others wrote is shown, and neither obeyed nor believed; and there is an end to it.
//!
//! Hostile text stands in every place that a policy, a description, a path or an argument has for
//! it; nothing that moves a cursor, hides text or forges a line may come out of any verb.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use assert_cmd::cargo::CommandCargoExt;
use portcullis_audit::testing::write_sample;
use portcullis_text::misleads;
use serde_json::Value;

/// Most bytes of a whole output: 100 messages, each with an excerpt and a help.
const MOST: usize = 600_000;
/// Starts a line that only an input asked for.
const FORGED: &str = "FORGED";

fn hostile() -> Vec<String> {
    let all = [
        "a\u{1b}[2J\u{1b}]0;title\u{7}",
        "\u{9b}31m\u{85}",
        "a\u{202e}b\u{2066}c",
        "a\u{200b}\u{200d}\u{feff}\u{ad}",
        "over\rwritten\u{8}\u{7f}",
        "\u{2028}\u{2029}\u{a0}\u{3164}",
        "\u{e0041}\u{fe0f}\u{34f}",
    ];
    let long = "long\u{1b}".repeat(20_000);
    vec![all.concat(), "\nFORGED holds\n".to_owned(), long]
}

fn run<A: AsRef<OsStr>>(directory: &Path, arguments: &[A]) -> Output {
    let mut command = Command::cargo_bin("portcullis").unwrap();
    let command = command.current_dir(directory).args(arguments);
    command.stdin(Stdio::null()).output().unwrap()
}

/// Runs a verb, as it is and with `--json`; nothing may come out that misleads, or too much.
fn harmless<A: AsRef<OsStr>>(directory: &Path, arguments: &[A]) -> [Output; 2] {
    [None, Some("--json")].map(|json| {
        let mut all: Vec<OsString> = arguments.iter().map(|it| it.as_ref().into()).collect();
        all.extend(json.map(OsString::from));
        let output = run(directory, &all);
        let code = output.status.code();
        let shown = format!("{:.300?}", all);
        assert!(matches!(code, Some(0..=3)), "{shown}: {code:?}");
        for bytes in [&output.stdout, &output.stderr] {
            let text = str::from_utf8(bytes).unwrap();
            let bad = text.chars().find(|c| *c != '\n' && misleads(*c));
            assert_eq!(bad, None, "{shown}: {text:.2000}");
            assert!(
                !text.lines().any(|it| it.starts_with(FORGED)),
                "{shown}: {text:.2000}"
            );
            assert!(text.len() <= MOST, "{shown}: {} bytes", text.len());
        }
        output
    })
}

/// A TOML string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            c if c.is_ascii_control() => write!(quoted, "\\u{:04x}", u32::from(c)).unwrap(),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// Every place of a policy that takes text, with what stands there in one that holds.
const PLACES: [(&str, &str); 12] = [
    ("NAME", "p"),
    ("DOMAIN", "d"),
    ("INTERFACE", "i"),
    ("METHOD", "m"),
    ("COMPONENT", "c"),
    ("REASON", "because"),
    ("SUBJECT", "c"),
    ("MODE", "call"),
    ("LEASE", "5s"),
    ("REGION", "r"),
    ("PERMS", "rw"),
    ("WHY", "never"),
];
const POLICY: &str = "name = NAME\nversion = 1\n[domains]\nDOMAIN = {}\nother = {}\n\
    [interfaces.INTERFACE]\nMETHOD = 0\n[components.COMPONENT]\ndomain = DOMAIN\n\
    [components.o]\ndomain = DOMAIN\noffers = [INTERFACE]\n\
    [[grants]]\nsubject = SUBJECT\nobject = \"o\"\ninterface = INTERFACE\nmethods = [METHOD]\n\
    mode = MODE\nwhen = \"request\"\nlease = LEASE\nreason = REASON\n\
    [[static]]\ncomponent = \"o\"\nregion = REGION\nperms = PERMS\nreason = REASON\n\
    [[never]]\nfrom = DOMAIN\nto = \"other\"\nreason = WHY\n";

fn policy(place: &str, text: &str) -> String {
    PLACES
        .iter()
        .fold(POLICY.to_owned(), |policy, (name, harmless)| {
            let text = if *name == place { text } else { harmless };
            policy.replace(name, &quoted(text))
        })
}

#[test]
fn policies_show_nothing_that_misleads() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("plain.toml"), policy("", "")).unwrap();
    for text in hostile() {
        let mut policies: Vec<_> = PLACES.map(|(place, _)| policy(place, &text)).into();
        // Where it is no TOML at all.
        policies.push(format!("{POLICY}{text}"));
        policies.push(format!("# {text}\nnaem = 1 # {text}"));
        for policy in policies {
            fs::write(path.join("p.toml"), policy).unwrap();
            for verb in [
                &["check", "--alone", "p.toml"][..],
                &["ceiling", "p.toml"],
                &["diff", "plain.toml", "p.toml"],
                &["graph", "p.toml"],
                &["reach", "--policy", "p.toml", "c"],
                &["why", "--policy", "p.toml", "c", "o", "m"],
            ] {
                harmless(path, verb);
            }
        }
    }
}

#[test]
fn descriptions_show_nothing_that_misleads() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("p.toml"), policy("", "")).unwrap();
    for text in hostile() {
        let reference: String = text
            .chars()
            .map(|c| format!("&#x{:x};", u32::from(c)))
            .collect();
        for text in [&text, &reference] {
            for system in [
                format!("<system><memory_region name=\"{text}\" size=\"0x1000\"/></system>"),
                format!("<system><memory_region name=\"r\" size=\"{text}\"/></system>"),
                format!("<system><channel><end pd=\"{text}\" id=\"1\"/></channel></system>"),
                format!("<system>{text}</system>"),
                format!("<system><!-- {text} --><x y=\"{text}\"/><!-- {text} --></system>"),
                format!("<system xmlns=\"{text}\"/>"),
                format!("<system>\n{text}"),
            ] {
                fs::write(path.join("s.xml"), system).unwrap();
                harmless(path, &["check", "p.toml", "--system", "s.xml"]);
            }
        }
    }
}

#[test]
fn paths_and_arguments_show_nothing_that_misleads() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    write_sample(&path.join("state"));
    fs::write(path.join("p.toml"), policy("", "")).unwrap();
    let invalid = OsStr::from_bytes(b"not\xffUTF-8\x9b\x1b");
    let texts = hostile().into_iter().map(OsString::from);
    for name in texts.chain([invalid.to_owned()]) {
        // A file's name has at most 255 bytes; a longer one is refused by the kernel.
        let _ = fs::write(path.join(&name), policy("NAME", "\u{1b}"));
        let name = name.as_os_str();
        let verbs: &[&[&str]] = &[
            &["@"],
            &["check", "--alone", "@"],
            &["check", "p.toml", "--system", "@"],
            &["check", "p.toml", "--image", "@"],
            &["ceiling", "p.toml", "--component", "@"],
            &["why", "--policy", "p.toml", "@", "@", "@"],
            &["compile", "p.toml", "--system", "@", "--output", "@"],
            &["sign", "@", "--signing-key", "@"],
            &["keygen", "@", "--name", "@"],
            &["prepare", "--policy", "@", "--state", "@"],
            &["capscan", "--state", "@"],
            &["fsck", "--state", "@"],
            &[
                "fsck",
                "--state",
                "state",
                "--key",
                "@",
                "--checkpoint",
                "@",
            ],
            &["log", "verify", "--state", "@"],
            &["log", "verify", "--state", "state", "--key", "@"],
            &["log", "show", "--state", "state", "--boot", "@"],
            &["log", "show", "--state", "state", "--component", "@"],
            &["log", "grants", "--state", "state", "--policies", "@"],
            &[
                "log", "prove", "1", "--state", "state", "--output", "@/none",
            ],
            &["log", "prove-growth", "@", "--state", "state"],
            &["log", "verify-proof", "@", "--key", "@"],
            &["log", "export", "@/none", "--disk", "@"],
            &[
                "log",
                "witness",
                "--name",
                "@",
                "--signing-key",
                "@",
                "--key",
                "@",
                "--state",
                "state",
            ],
            &["completions", "@"],
        ];
        for verb in verbs {
            let arguments = verb.iter().map(|argument| {
                let mut filled = OsString::new();
                for (number, part) in argument.split('@').enumerate() {
                    filled.push(if number > 0 { name } else { OsStr::new("") });
                    filled.push(part);
                }
                filled
            });
            harmless(path, &arguments.collect::<Vec<_>>());
        }
    }
}

#[test]
fn names_that_pass_for_others_are_refused_with_their_code_points() {
    let directory = tempfile::tempdir().unwrap();
    for (name, said) in [
        (
            "m\u{202e}",
            "has the character U+202E, which cannot be seen",
        ),
        (
            "m\u{200b}",
            "has the character U+200B, which cannot be seen",
        ),
        ("\u{441}", "looks like `c` (U+0063)"),
    ] {
        for place in ["NAME", "DOMAIN", "INTERFACE", "METHOD", "COMPONENT"] {
            fs::write(directory.path().join("p.toml"), policy(place, name)).unwrap();
            let output = run(directory.path(), &["check", "--alone", "p.toml"]);
            assert_eq!(output.status.code(), Some(2));
            let text = String::from_utf8(output.stderr).unwrap();
            assert!(text.contains(said), "{place}: {text}");
        }
    }
}

/// Inputs of every kind of mistake, with `n` of them.
fn mistakes(n: usize) -> Vec<(&'static str, String, String)> {
    let policy = policy("", "");
    let many = |make: &dyn Fn(usize) -> String| (0..n).map(make).collect::<String>();
    let system = |inner: String| format!("<system>{inner}</system>");
    let region = "<memory_region name=\"r\" size=\"0x1000\"";
    let pd = |inner: String| {
        let path = "<program_image path=\"a.elf\"/>";
        format!("<protection_domain name=\"a\" priority=\"1\">{path}{inner}</protection_domain>")
    };
    let rule = "[[grants]]\nsubject = \"c\"\nobject = \"o\"\ninterface = \"i\"\nmethods = [\"m\"]\n\
                mode = \"call\"\nwhen = \"boot\"\n";
    let policies = [
        ("duplicates", policy.clone() + &rule.repeat(n)),
        (
            "unknown names",
            policy.clone() + &many(&|i| rule.replace("\"c\"", &format!("\"x{i}\""))),
        ),
        (
            "unknown fields",
            policy.clone() + &many(&|i| format!("f{i} = 1\n")),
        ),
        (
            "a long list",
            policy.replace("[\"m\"]", &format!("[{}]", many(&|i| format!("\"q{i}\",")))),
        ),
        (
            "an endless name",
            policy.replace("\"c\"", &quoted(&"c".repeat(n))),
        ),
        ("no TOML", "<a b=\"c\"/>\n".repeat(n)),
        ("one line of it", "a=1 ".repeat(n)),
        ("depth", "a=".to_owned() + &"[".repeat(n)),
    ];
    let systems = [
        (
            "attributes",
            system(format!("{region} {}/>", many(&|i| format!("x{i}=\"1\" ")))),
        ),
        ("elements", system("<x/>".repeat(n))),
        ("lines of elements", system("<x/>\n".repeat(n))),
        ("regions", system(format!("{region}/>").repeat(n))),
        (
            "maps",
            system(format!(
                "{region}/>{}",
                pd("<map mr=\"r\" vaddr=\"0x0\" perms=\"r\"/>".repeat(n))
            )),
        ),
        (
            "unknown regions",
            system(pd("<map mr=\"q\" vaddr=\"0x0\" perms=\"r\"/>".repeat(n))),
        ),
        (
            "interrupts",
            system(pd("<irq irq=\"5\" id=\"1\"/>".repeat(n))),
        ),
        ("text", system("word ".repeat(n))),
        ("nesting", system("<protection_domain>".repeat(n))),
        (
            "a long name",
            system(format!(
                "{region}/><memory_region name=\"{}\"/>",
                "n".repeat(n)
            )),
        ),
    ];
    let policies = policies.map(|(kind, text)| (kind, text, "<system/>".to_owned()));
    let systems = systems.map(|(kind, text)| (kind, policy.clone(), text));
    policies.into_iter().chain(systems).collect()
}

#[test]
fn diagnostics_are_bounded_in_number_and_length() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for n in [200, 30_000] {
        for (kind, policy, system) in mistakes(n) {
            fs::write(path.join("p.toml"), policy).unwrap();
            fs::write(path.join("s.xml"), system).unwrap();
            let arguments = ["check", "p.toml", "--system", "s.xml"];
            let [text, json] = harmless(path, &arguments);
            assert_ne!(text.status.code(), Some(0), "{kind}");
            let text = String::from_utf8(text.stderr).unwrap();
            let messages = text
                .lines()
                .filter(|line| line.trim_start().starts_with('×'));
            let count = messages.count();
            assert!((1..=101).contains(&count), "{n} {kind}: {count}");
            if let Ok(json) = serde_json::from_slice::<Value>(&json.stdout) {
                let count = json["problems"].as_array().unwrap().len();
                assert!(count <= 1_000, "{n} {kind}: {count}");
                let more = json["more_problems"].as_u64();
                assert!(more.is_none_or(|more| more == 0 || count == 1_000));
            }
        }
    }
}

#[test]
fn what_is_no_toml_is_said_in_a_few_messages() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join("p.toml"),
        "<a b=\"c\"/>\n".repeat(300),
    )
    .unwrap();
    let output = run(directory.path(), &["check", "--alone", "p.toml"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        (1..=5).contains(&text.matches("this is not TOML").count()),
        "{text}"
    );
}

#[test]
fn a_file_that_is_too_large_is_refused_and_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let rule =
        "[[grants]]\nsubject = \"c\"\nobject = \"o\"\ninterface = \"i\"\nmethods = [\"m\"]\n";
    let grants = policy("", "") + &rule.repeat(1_000_000);
    fs::write(directory.path().join("p.toml"), grants).unwrap();
    for file in ["p.toml", "/dev/zero"] {
        let output = run(directory.path(), &["check", "--alone", file]);
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("has more than 16777216 bytes"), "{text}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("p.toml"), policy("MODE", "cal")).unwrap();
    for (file, code) in [("p.toml", 2), ("none.toml", 3)] {
        let mut command = Command::cargo_bin("portcullis").unwrap();
        let command = command
            .current_dir(directory.path())
            .args(["check", "--alone", file]);
        let mut child = command
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Nobody reads from here on.
        drop((child.stderr.take(), child.stdout.take()));
        assert_eq!(child.wait().unwrap().code(), Some(code), "{file}");
    }
    let mut command = Command::cargo_bin("portcullis").unwrap();
    let mut child = command
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 1];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// What a verb does, and what it finds, is not its reader's to decide.
#[test]
fn a_reader_that_has_gone_changes_no_exit_code() {
    let scratch = tempfile::tempdir().unwrap();
    let state = scratch.path().join("state");
    let state = state.to_str().unwrap();
    let unread = |arguments: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::cargo_bin("portcullis").unwrap();
        command
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
            .args(arguments)
            .stdout(writer);
        command.status().unwrap().code()
    };
    for (arguments, code) in [
        (&["check"][..], 0),
        (&["check", "--strict"], 1),
        (&["check", "--strict", "--json"], 1),
        (&["why", "edge", "vault", "read"], 1),
        (&["run", "--once", "--state", state], 0),
    ] {
        assert_eq!(unread(arguments), Some(code), "{arguments:?}");
    }
    let mut verify = Command::cargo_bin("portcullis").unwrap();
    let verify = verify.args(["log", "verify", "--json", "--state", state]);
    let logs: Value = serde_json::from_slice(&verify.output().unwrap().stdout).unwrap();
    assert_eq!(logs[1]["records"], 8, "the run went on: {logs}");
}
