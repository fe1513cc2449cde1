//! What a jail can show and pass to a program without losing what it promises.

/// Places inside the jail that are its own.
const RESERVED: [&str; 4] = ["/tmp", "/proc", "/dev", "/old"];

/// Variables that change what the loader or a language's runtime does, by how they begin.
const DANGEROUS: [&str; 12] = [
    "LD_",
    "GLIBC_",
    "GCONV_",
    "MALLOC_",
    "GODEBUG",
    "GOTRACEBACK",
    "GORACE",
    "PYTHON",
    "NODE_",
    "PERL",
    "RUBY",
    "JAVA_TOOL_OPTIONS",
];

/// Variables that the jail sets itself.
const OWN: [&str; 4] = ["PATH", "HOME", "TMPDIR", "LANG"];

/// Says what is wrong with a variable of that name.
pub fn check_variable(name: &str) -> Result<(), String> {
    let is_name = !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|part| part.is_ascii_alphanumeric() || part == '_');
    if !is_name {
        return Err(format!("`{}` is no name for a variable (use A-Z, 0-9 and _)", name.escape_debug()));
    }
    if OWN.contains(&name) {
        return Err(format!("the variable `{name}` is set by the jail (leave it out)"));
    }
    if DANGEROUS.iter().any(|start| name.starts_with(start)) {
        return Err(format!("the variable `{name}` changes what code runs, and is never passed (leave it out)"));
    }
    Ok(())
}

/// Says what is wrong with showing a path: it must be absolute, plain, and not where the jail has something of its own.
pub fn check_place(path: &str) -> Result<(), String> {
    let is_plain = path.starts_with('/')
        && path.len() < 1024
        && !path.contains('\0')
        && path[1..].split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    let shown = path.escape_debug();
    if !is_plain {
        return Err(format!("the path `{shown}` is not absolute and plain (give it without `.`, `..`, `//`)"));
    }
    if let Some(own) = RESERVED.iter().find(|own| path == **own || is_below_fixed(path, own)) {
        return Err(format!("the path `{shown}` lies in the jail's own `{own}` (use another place)"));
    }
    Ok(())
}

/// The scratch directory is a file system of its own, in which other places can be shown.
fn is_below_fixed(path: &str, own: &str) -> bool {
    own != "/tmp" && path.strip_prefix(own).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_would_change_what_runs_are_refused() {
        for name in ["TZ", "APP_MODE", "_x", "SSL_CERT_FILE"] {
            assert_eq!(check_variable(name), Ok(()));
        }
        for (name, problem) in [
            ("", "is no name"),
            ("A=B", "is no name"),
            ("9A", "is no name"),
            ("PATH", "is set by the jail"),
            ("LD_PRELOAD", "changes what code runs"),
            ("PYTHONSTARTUP", "changes what code runs"),
        ] {
            assert!(check_variable(name).unwrap_err().contains(problem), "{name}");
        }
    }

    #[test]
    fn places_that_are_the_jails_own_are_refused() {
        for path in ["/usr/lib", "/tmp/models", "/procession"] {
            assert_eq!(check_place(path), Ok(()));
        }
        for (path, problem) in [
            ("/", "absolute and plain"),
            ("usr", "absolute and plain"),
            ("/usr/../etc", "absolute and plain"),
            ("/usr//lib", "absolute and plain"),
            ("/a\0b", "absolute and plain"),
            ("/proc", "the jail's own `/proc`"),
            ("/dev/shm", "the jail's own `/dev`"),
            ("/tmp", "the jail's own `/tmp`"),
        ] {
            assert!(check_place(path).unwrap_err().contains(problem), "{path}");
        }
    }
}
