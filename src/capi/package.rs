//! Packages: inspected, installed, changed, loaded; files of loaded plugins.

use std::ffi::c_char;
use std::path::Path;

use super::args::Args;
use super::buffer::goatflow_plugin_buffer;
use super::error::goatflow_plugin_error;
use super::guard::guard;
use super::manager::{MANAGERS, goatflow_plugin_manager};

/// Look at a package as installation would: signatures, archive, manifest. Nothing is changed, no code runs.
///
/// Parameters:
/// - `manager`: the manager.
/// - `path`, `path_len`: UTF-8 path of a package.
/// - `out_json`: JSON object: name, version, runtime, hashes, signature status, what it asks for, entries; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_SIGNATURE_…` and `…_STATUS_PACKAGE_…` when it would be refused, `…_STATUS_ENVIRONMENT_IO`,
/// `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_package_inspect(
    manager: *const goatflow_plugin_manager,
    path: *const c_char,
    path_len: usize,
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_json, "out_json")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let path = args.text(path, path_len, "path")?;
        out.set(manager.inspect_package(Path::new(path))?.into());
        Ok(())
    })
}

/// Install a package: verify, inspect, write, record.
///
/// No code of it runs, and what is loaded stays loaded. A crash at any point leaves the old version or the new one. A version
/// that asks for more than was approved waits for `goatflow_plugin_package_approve`, and the old one stays current.
///
/// Parameters:
/// - `manager`: the manager.
/// - `path`, `path_len`: UTF-8 path of a package; its signatures are in `<path>.sig` and `<path>.gksig`.
/// - `options_json`, `options_json_len`: JSON object `{"allow_downgrade": bool, "approve": bool}`; `(NULL, 0)` = neither.
/// - `out_json`: JSON object: what was done, versions, `needs_approval`; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any; changes of installed packages wait for each other, also those of other processes.
/// Errors: `…_STATUS_SIGNATURE_…` and `…_STATUS_PACKAGE_…` when it is refused, `…_STATUS_PACKAGE_NO_STORE`,
/// `…_STATUS_PACKAGE_LOCKED`, `…_STATUS_LIFECYCLE_SHUT_DOWN`, `…_STATUS_ENVIRONMENT_IO`, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_package_install(
    manager: *const goatflow_plugin_manager,
    path: *const c_char,
    path_len: usize,
    options_json: *const c_char,
    options_json_len: usize,
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_json, "out_json")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let path = args.text(path, path_len, "path")?;
        let options = args.text(options_json, options_json_len, "options_json")?;
        out.set(manager.install_package(Path::new(path), options.as_bytes(), &|_| {})?.into());
        Ok(())
    })
}

/// List installed packages with their versions.
///
/// Parameters:
/// - `manager`: the manager.
/// - `out_json`: JSON array; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_PACKAGE_NO_STORE`, `…_STATUS_PACKAGE_STATE_INVALID`, `…_STATUS_ENVIRONMENT_IO`, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_package_list(
    manager: *const goatflow_plugin_manager,
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_json, "out_json")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        out.set(manager.packages()?.into());
        Ok(())
    })
}

/// Load the current version of an installed package.
///
/// Package, signatures and files are verified again; what was verified is what runs. Blocks as `goatflow_plugin_manager_load`.
///
/// Parameters:
/// - `manager`: the manager.
/// - `name`, `name_len`: name of the package, by which the plugin is called, too.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any; loads of different plugins run side by side.
/// Errors: as `goatflow_plugin_manager_load`, `…_STATUS_PACKAGE_NOT_INSTALLED`, `…_STATUS_PACKAGE_CHANGED`,
/// `…_STATUS_PACKAGE_NO_STORE`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_package_load(
    manager: *const goatflow_plugin_manager,
    name: *const c_char,
    name_len: usize,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        manager.load_package(args.text(name, name_len, "name")?)?;
        Ok(())
    })
}

/// Make the previous version of a package the current one. What is loaded stays loaded.
///
/// Parameters:
/// - `manager`: the manager.
/// - `name`, `name_len`: name of the package.
/// - `out_json`: JSON object: what was done, versions; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any; changes of installed packages wait for each other, also those of other processes.
/// Errors: `…_STATUS_PACKAGE_NOT_INSTALLED`, `…_STATUS_PACKAGE_NO_PREVIOUS`,
/// `…_STATUS_PACKAGE_NO_STORE`, `…_STATUS_PACKAGE_STATE_INVALID`, `…_STATUS_ENVIRONMENT_IO`, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_package_rollback(
    manager: *const goatflow_plugin_manager,
    name: *const c_char,
    name_len: usize,
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_json, "out_json")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        out.set(manager.roll_back_package(args.text(name, name_len, "name")?)?.into());
        Ok(())
    })
}

/// Approve what the waiting version of a package asks for, and make it the current one. What is loaded stays loaded.
///
/// Parameters:
/// - `manager`: the manager.
/// - `name`, `name_len`: name of the package.
/// - `version`, `version_len`: version, or key, that was looked at: no other is approved; `(NULL, 0)` = whichever waits.
/// - `out_json`: JSON object: what was done, what was approved, versions; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any; changes of installed packages wait for each other, also those of other processes.
/// Errors: `…_STATUS_PACKAGE_NOT_INSTALLED`, `…_STATUS_PACKAGE_NOTHING_PENDING`,
/// `…_STATUS_PACKAGE_NO_STORE`, `…_STATUS_PACKAGE_STATE_INVALID`, `…_STATUS_ENVIRONMENT_IO`, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_package_approve(
    manager: *const goatflow_plugin_manager,
    name: *const c_char,
    name_len: usize,
    version: *const c_char,
    version_len: usize,
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_json, "out_json")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let name = args.text(name, name_len, "name")?;
        let version = Some(args.text(version, version_len, "version")?).filter(|version| !version.is_empty());
        out.set(manager.approve_package(name, version)?.into());
        Ok(())
    })
}

/// Remove a package, or one version of it that is not the current one. What is loaded stays loaded, but its files can't be
/// read any more.
///
/// Parameters:
/// - `manager`: the manager.
/// - `name`, `name_len`: name of the package.
/// - `version`, `version_len`: version to remove; `(NULL, 0)` = all.
/// - `out_json`: JSON object: what was done, versions that are left; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any; changes of installed packages wait for each other, also those of other processes.
/// Errors: `…_STATUS_PACKAGE_NOT_INSTALLED`,
/// `…_STATUS_PACKAGE_NO_STORE`, `…_STATUS_PACKAGE_STATE_INVALID`, `…_STATUS_ENVIRONMENT_IO`, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_package_remove(
    manager: *const goatflow_plugin_manager,
    name: *const c_char,
    name_len: usize,
    version: *const c_char,
    version_len: usize,
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_json, "out_json")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let name = args.text(name, name_len, "name")?;
        let version = Some(args.text(version, version_len, "version")?).filter(|version| !version.is_empty());
        out.set(manager.remove_package(name, version)?.into());
        Ok(())
    })
}

/// List the files that a loaded plugin brought: assets, templates and translations.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of a loaded plugin.
/// - `out_json`: JSON array of `{"name", "size", "sha256"}`; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_asset_list(
    manager: *const goatflow_plugin_manager,
    plugin: *const c_char,
    plugin_len: usize,
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_json, "out_json")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        out.set(manager.assets(args.text(plugin, plugin_len, "plugin")?)?.into());
        Ok(())
    })
}

/// Read a file that a loaded plugin brought: the bytes that were verified when it was loaded, or an error.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of a loaded plugin.
/// - `name`, `name_len`: name of the file as listed, for example `templates/page.html`.
/// - `out_bytes`: content; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_PACKAGE_ASSET_NOT_FOUND`, `…_STATUS_PACKAGE_ASSET_TOO_LARGE`, `…_STATUS_PACKAGE_CHANGED`,
/// `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_ENVIRONMENT_IO`, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_asset_read(
    manager: *const goatflow_plugin_manager,
    plugin: *const c_char,
    plugin_len: usize,
    name: *const c_char,
    name_len: usize,
    out_bytes: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_bytes, "out_bytes")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let plugin = args.text(plugin, plugin_len, "plugin")?;
        out.set(manager.asset(plugin, args.text(name, name_len, "name")?)?.into());
        Ok(())
    })
}
