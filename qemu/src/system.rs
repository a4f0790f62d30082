//! From system description, policy and programs to a bootable image.

use std::env;
use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_files::Mode;
use portcullis_sdf::Target;

use crate::{Board, Config, Error, Sdk};

/// A system that an image can be made of.
#[derive(Clone, Debug)]
pub struct System {
    /// Its name: a folder for what is built.
    pub name: String,
    /// The packages of `images/` with its programs.
    pub packages: Vec<String>,
    /// Its description, for any board.
    pub description: PathBuf,
}

/// An image that a board boots.
#[derive(Clone, Debug)]
pub struct Image {
    /// The board that it is for.
    pub board: Board,
    /// The configuration of its kernel.
    pub config: Config,
    /// What QEMU loads.
    pub loader: PathBuf,
    /// The kernel in it.
    pub kernel: PathBuf,
    /// The system that it was made of, as the board has it.
    pub system: portcullis_sdf::System,
    /// The capability distribution in it, for `portcullis check --image`; a stock image has none.
    pub distribution: PathBuf,
    /// What it takes, in bytes, as JSON: `image`, `objects` and `initialiser`.
    pub sizes: PathBuf,
}

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package is a folder of the repository")
}

impl System {
    /// The reference appliance.
    pub fn appliance() -> Self {
        Self {
            name: "appliance".to_owned(),
            packages: vec!["portcullis-pds".to_owned()],
            description: root().join("system.xml"),
        }
    }

    /// Builds the programs and packs them into an image. `prepared` is the directory with the compiled
    /// policy, `appliance.policy`, and with the files that regions are filled from.
    pub fn build(&self, sdk: &Sdk, prepared: &Path) -> Result<Image, Error> {
        self.pack(sdk, prepared, Some("appliance.policy"))
    }

    /// Builds the image that Microkit's own tool would, without a policy: to compare with.
    pub fn build_stock(&self, sdk: &Sdk, prepared: &Path) -> Result<Image, Error> {
        self.pack(sdk, prepared, None)
    }

    fn pack(&self, sdk: &Sdk, prepared: &Path, policy: Option<&str>) -> Result<Image, Error> {
        let images = images(sdk);
        let (description, system) = self.described(sdk)?;
        let out = images.join(&self.name);
        programs(sdk, &images, &self.packages)?;
        let compiled = images.join(sdk.board.target()).join("release");
        for pd in &system.protection_domains {
            let elf = Path::new(&pd.program.path.value);
            let program = compiled.join(elf.with_extension(""));
            let code = fs::read(&program).map_err(Error::file("read", &program))?;
            replace(&out.join(elf), &code)?;
        }
        let image = Image {
            board: sdk.board,
            config: sdk.config,
            system,
            loader: out.join("loader.img"),
            kernel: sdk.directory().join("elf/sel4.elf"),
            distribution: out.join("distribution.json"),
            sizes: out.join("sizes.json"),
        };
        let mut builder = builder(sdk);
        builder.arg("--system").arg(description);
        match policy {
            Some(policy) => builder
                .arg("--policy")
                .arg(prepared.join(policy))
                .arg("--compiled-for")
                .arg(&self.description)
                .arg("--distribution")
                .arg(&image.distribution),
            None => builder.arg("--stock"),
        };
        builder.arg("--search-path").arg(&out);
        builder.arg("--search-path").arg(prepared);
        builder.arg("--output").arg(&image.loader);
        builder.arg("--sizes").arg(&image.sizes);
        succeed(builder, "making the image")?;
        Ok(image)
    }

    /// Writes the description for a board: where, and what it says.
    fn described(&self, sdk: &Sdk) -> Result<(PathBuf, portcullis_sdf::System), Error> {
        let out = images(sdk).join(&self.name);
        fs::create_dir_all(&out).map_err(Error::file("create", &out))?;
        let read = fs::read_to_string(&self.description);
        let text = read.map_err(Error::file("read", &self.description))?;
        let failed = |errors| {
            let path = self.description.clone();
            Error::Description { path, errors }
        };
        let text = sdk.board.describe(&text).map_err(failed)?;
        let system = portcullis_sdf::parse(&text, &Target::ANY).map_err(failed)?;
        let path = out.join("system.xml");
        replace(&path, text.as_bytes())?;
        Ok((path, system))
    }
}

/// Writes a file anew that another test may be reading.
fn replace(path: &Path, content: &[u8]) -> Result<(), Error> {
    let written = portcullis_files::replace(path, content, Mode::Public);
    written.map_err(Error::file("write", path))
}

/// Compiles the programs of packages into a folder. rust-sel4 uses unstable features, so stable Rust is
/// told to allow them.
pub(crate) fn programs(sdk: &Sdk, images: &Path, packages: &[String]) -> Result<(), Error> {
    let target = sdk.board.target();
    let mut build = cargo("build");
    build.args(["--target", target, "--target-dir"]).arg(images);
    for package in packages {
        build.args(["--package", package]);
    }
    build.env("RUSTC_BOOTSTRAP", "1");
    build.env("SEL4_INCLUDE_DIRS", sdk.directory().join("include"));
    if !has_core("rustc", target) {
        core_from_debian(&mut build, target)?;
    }
    succeed(build, "compiling the programs")
}

/// The image builder, told of the SDK.
pub(crate) fn builder(sdk: &Sdk) -> Command {
    let mut builder = cargo("run");
    builder.args(["--package", "portcullis-image", "--target-dir"]);
    builder.arg(target()).arg("--").arg("--sdk").arg(sdk.path());
    builder.args(["--board", sdk.board.name(), "--config", sdk.config.name()]);
    builder
}

/// Where the programs for a board and configuration are compiled to.
pub(crate) fn images(sdk: &Sdk) -> PathBuf {
    target().join(format!("{}-{}", sdk.board.name(), sdk.config.name()))
}

/// Where `images/` is compiled to.
fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(path) => root().join(path).join("images"),
        None => root().join("images/target"),
    }
}

/// Cargo in `images/`, without what the Cargo that runs us has set for itself. Who looks sees what it
/// compiles, which takes minutes the first time.
fn cargo(verb: &str) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root().join("images"));
    cargo.args([verb, "--locked", "--release"]);
    if !std::io::stderr().is_terminal() {
        cargo.arg("--quiet");
    }
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG") || text.starts_with("CARGO_MANIFEST") {
            cargo.env_remove(&name);
        }
    }
    cargo
}

fn has_core(rustc: &str, target: &str) -> bool {
    let mut asked = Command::new(rustc);
    asked.args(["--print", "target-libdir", "--target", target]);
    asked.output().is_ok_and(|it| {
        let path = String::from_utf8_lossy(&it.stdout).trim().to_owned();
        it.status.success() && Path::new(&path).is_dir()
    })
}

/// Debian's rustc-web and rust-web-src build `core` where rustup cannot fetch it. Its linker is rustup's.
fn core_from_debian(build: &mut Command, target: &'static str) -> Result<(), Error> {
    let sysroot = |rustc: &str| {
        let output = Command::new(rustc).args(["--print", "sysroot"]).output();
        let text = output.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned());
        PathBuf::from(text.unwrap_or_default())
    };
    const DEBIAN: &str = "/usr/bin/rustc";
    if !sysroot(DEBIAN).join("lib/rustlib/src").is_dir() {
        return Err(Error::NoCore(target));
    }
    build.env("RUSTC", DEBIAN);
    build.args(["-Z", "build-std=core,alloc,compiler_builtins"]);
    build.args(["-Z", "build-std-features=compiler-builtins-mem"]);
    let lld = sysroot("rustc").join("lib/rustlib/x86_64-unknown-linux-gnu/bin");
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::split_paths(&path).chain([lld]);
    build.env(
        "PATH",
        env::join_paths(path).expect("these came out of a PATH"),
    );
    Ok(())
}

pub(crate) fn succeed(mut command: Command, doing: &'static str) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Error::Failed {
            doing,
            program,
            status,
        }),
        Err(error) => Err(Error::Start { program, error }),
    }
}
