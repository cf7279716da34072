//! The module record, the command table and the hooks: from httpd's C calls to the functions of
//! [`crate::DbTest`].

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use super::bindings::{self, apr_pool_t, cmd_parms, command_rec, module, request_rec, server_rec};
use super::guard::{guard, log_panics};
use super::request::Request;
use super::section;
use super::server::{Main, Phase};
use crate::config::{Context, DIRECTIVES, Origin, Place};

/// What httpd looks for after dlopen(3). It must be defined in Rust: a record defined in C is not exported from
/// a cdylib (rust-lang/rust#36342).
#[unsafe(no_mangle)]
pub static mut dbtest_module: module = module {
    version: bindings::MODULE_MAGIC_NUMBER_MAJOR,
    minor_version: bindings::MODULE_MAGIC_NUMBER_MINOR,
    module_index: -1,
    // so that <IfModule mod_dbtest.c> works
    name: c"mod_dbtest.c".as_ptr(),
    dynamic_load_handle: ptr::null_mut(),
    next: ptr::null_mut(),
    magic: bindings::MODULE_MAGIC_COOKIE as _,
    rewrite_args: None,
    create_dir_config: Some(section::create),
    merge_dir_config: Some(section::merge),
    create_server_config: None,
    merge_server_config: None,
    cmds: COMMANDS.0.as_ptr(),
    register_hooks: Some(register_hooks),
    flags: 0,
};

/// httpd's form of [`DIRECTIVES`], with the empty record at its end.
struct Commands([command_rec; DIRECTIVES.len() + 1]);

// SAFETY: the pointers in it are to 'static strings and functions, and httpd only reads them.
unsafe impl Sync for Commands {}

static COMMANDS: Commands = Commands({
    let end = command_rec {
        name: ptr::null(),
        func: bindings::cmd_func { take_argv: None },
        cmd_data: ptr::null_mut(),
        req_override: 0,
        args_how: bindings::cmd_how_TAKE_ARGV,
        errmsg: ptr::null(),
    };
    let mut table = [end; DIRECTIVES.len() + 1];
    let mut index = 0;
    while index < DIRECTIVES.len() {
        table[index] = command_rec {
            name: DIRECTIVES[index].name.as_ptr(),
            // one function for all; it finds the directive by its index
            func: bindings::cmd_func { take_argv: Some(directive) },
            cmd_data: ptr::without_provenance_mut(index),
            // server config, virtual host and <Location>; in no .htaccess, since a database's name is no visitor's to set
            req_override: bindings::RSRC_CONF | bindings::ACCESS_CONF,
            args_how: bindings::cmd_how_TAKE_ARGV,
            errmsg: DIRECTIVES[index].help.as_ptr(),
        };
        index += 1;
    }
    table
});

unsafe extern "C" fn register_hooks(_pconf: *mut apr_pool_t) {
    guard((), || {
        log_panics();
        super::status::register();
        let none = ptr::null();
        // SAFETY: httpd calls this while it builds its hook lists; the functions live as long as the library,
        // which is linked never to be unloaded.
        unsafe {
            bindings::ap_hook_check_config(Some(check_config), none, none, bindings::APR_HOOK_LAST);
            bindings::ap_hook_test_config(Some(test_config), none, none, bindings::APR_HOOK_MIDDLE);
            bindings::ap_hook_post_config(Some(post_config), none, none, bindings::APR_HOOK_MIDDLE);
            bindings::ap_hook_child_init(Some(child_init), none, none, bindings::APR_HOOK_MIDDLE);
            bindings::ap_hook_handler(Some(handler), none, none, bindings::APR_HOOK_MIDDLE);
        }
    });
}

/// Handles every directive of ours: NULL, or the message that httpd shows behind file and line.
unsafe extern "C" fn directive(
    cmd: *mut cmd_parms,
    config: *mut c_void,
    argc: c_int,
    argv: *const *mut c_char,
) -> *const c_char {
    guard(c"a fault in mod_dbtest itself while it read this directive: see the line above".as_ptr(), || {
        // SAFETY: httpd hands a valid cmd_parms whose command is one of COMMANDS, the section that `section::create`
        // made, and argc strings that end in NUL; all of them outlive this call, and nobody else has the section.
        let parser = |text: &str| unsafe { super::expression::parse(cmd, text) };
        // SAFETY: as above.
        let (index, section, arguments, context, cmd) = unsafe {
            let cmd = &*cmd;
            let arguments: Vec<_> = (0..usize::try_from(argc).unwrap_or(0))
                .map(|at| CStr::from_ptr(*argv.add(at)).to_string_lossy().into_owned())
                .collect();
            let context = Context {
                origin: origin(cmd.directive),
                server_root: super::server::root(),
                place: Place::within(super::tree::enclosing(cmd.directive)),
                parser: &parser,
            };
            ((*cmd.cmd).cmd_data.addr(), section::of_mut(config), arguments, context, cmd)
        };
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match (DIRECTIVES[index].apply)(section, &context, &arguments) {
            Ok(None) => ptr::null(),
            // httpd reads its configuration twice at start: once is enough
            Ok(Some(_)) if Phase::now() == Phase::FirstPass => ptr::null(),
            Ok(Some(warning)) => {
                let place = format!("{}:{}: {warning}", context.origin.file, context.origin.line);
                super::log::server(cmd.server, crate::app::http::Level::Warning, &place);
                ptr::null()
            }
            Err(message) => super::pool::string(cmd.pool, &message),
        }
    })
}

/// Where a directive was written.
///
/// # Safety
/// `directive` is NULL or a node of httpd's configuration tree.
unsafe fn origin(directive: *const bindings::ap_directive_t) -> Origin {
    // SAFETY: the caller's promise; httpd fills filename with a string that ends in NUL.
    unsafe {
        match directive.as_ref() {
            Some(node) if !node.filename.is_null() => Origin {
                file: CStr::from_ptr(node.filename).to_string_lossy().into_owned(),
                line: u32::try_from(node.line_num).unwrap_or(0),
            },
            _ => Origin { file: "the command line".into(), line: 0 },
        }
    }
}

/// Runs in configtest too, unlike post_config.
unsafe extern "C" fn check_config(
    _pconf: *mut apr_pool_t,
    _plog: *mut apr_pool_t,
    _ptemp: *mut apr_pool_t,
    main: *mut server_rec,
) -> c_int {
    guard(bindings::HTTP_INTERNAL_SERVER_ERROR, || {
        // SAFETY: httpd calls this with the main server once its configuration is read and merged.
        let main = unsafe { Main::new(main) };
        if crate::DbTest::check_config(&main) { bindings::OK } else { bindings::HTTP_INTERNAL_SERVER_ERROR }
    })
}

/// `httpd -t`, behind check_config and before "Syntax OK".
unsafe extern "C" fn test_config(_pconf: *mut apr_pool_t, main: *mut server_rec) {
    // SAFETY: as in check_config.
    let status = guard(1, || crate::DbTest::test_config(&unsafe { Main::new(main) }));
    if status != 0 {
        // this hook has no other way to say that a check failed
        std::process::exit(status);
    }
}

unsafe extern "C" fn post_config(
    _pconf: *mut apr_pool_t,
    _plog: *mut apr_pool_t,
    _ptemp: *mut apr_pool_t,
    main: *mut server_rec,
) -> c_int {
    guard(bindings::HTTP_INTERNAL_SERVER_ERROR, || {
        // SAFETY: as in check_config.
        let main = unsafe { Main::new(main) };
        if crate::DbTest::post_config(&main) { bindings::OK } else { bindings::HTTP_INTERNAL_SERVER_ERROR }
    })
}

unsafe extern "C" fn child_init(_pchild: *mut apr_pool_t, main: *mut server_rec) {
    guard((), || {
        section::in_child();
        super::handlers::learn();
        // SAFETY: httpd calls this in the new child, before any of its threads serves a request.
        crate::DbTest::child_init(&unsafe { Main::new(main) });
    });
}

unsafe extern "C" fn handler(r: *mut request_rec) -> c_int {
    // SAFETY: httpd calls this with the request that this thread serves; it lives until we return.
    let Some(request) = (unsafe { Request::ours(r) }) else {
        return bindings::DECLINED;
    };
    guard(bindings::HTTP_INTERNAL_SERVER_ERROR, || crate::DbTest::handler(request))
}
