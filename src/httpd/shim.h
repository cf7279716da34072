/* What Rust needs of httpd's headers (bindgen reads this file), and what only C can say (shim.c). */
#ifndef DBTEST_SHIM_H
#define DBTEST_SHIM_H

#include "httpd.h"
#include "ap_expr.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "http_main.h"
#include "http_protocol.h"
#include "http_request.h"
#include "ap_mpm.h"
#include "scoreboard.h"
#include "mod_status.h"
#include "unixd.h"
#include "util_cfgtree.h"
#include "apr_strings.h"

/* Whether a line of this level would be written: asked before a costly one is made. */
int dbtest_logs(const request_rec *r, int level);

/* One line to the error log of a request, or of a server (NULL: of the process). The text is data. */
void dbtest_log_request(const request_rec *r, int level, const char *text, apr_size_t length);
void dbtest_log_server(const server_rec *s, int level, const char *text, apr_size_t length);

/* Takes a piece of the body; 0 to go on. */
typedef int dbtest_sink(void *context, const char *data, apr_size_t length);

/* Reads the whole body into a sink. OK, or the status that the handler must return; `stopped` is set when the
 * sink said no. */
int dbtest_read_body(request_rec *r, dbtest_sink *sink, void *context, int *stopped);

/* Sends the body as one bucket, not copied: `data` must live as long as r->pool. */
int dbtest_send(request_rec *r, const char *data, apr_size_t length);

/* Adds a section to the page of mod_status, if that is loaded. */
void dbtest_hook_status(int (*hook)(request_rec *r, int flags));

/* Ends a response that was begun and cannot be finished, so that the client sees that it is not whole. */
void dbtest_break_off(request_rec *r);

#endif
