/* What bindgen cannot say: variadic logging bound to this module's index, and the macros of bucket brigades.
 * Nothing is decided here. */
#include "shim.h"

#include "apr_buckets.h"
#include "apr_optional_hooks.h"
#include "util_filter.h"

/* RHEL 8 has 2.4.37, whose magic number this is (ap_mmn.h). */
#if !AP_MODULE_MAGIC_AT_LEAST(20120211, 83)
#error "mod_dbtest needs httpd 2.4.37 or later"
#endif

extern module AP_MODULE_DECLARE_DATA dbtest_module;
APLOG_USE_MODULE(dbtest);

int dbtest_logs(const request_rec *r, int level)
{
    return APLOG_R_MODULE_IS_LEVEL(r, APLOG_MODULE_INDEX, level);
}

void dbtest_log_request(const request_rec *r, int level, const char *text, apr_size_t length)
{
    ap_log_rerror(APLOG_MARK, level, 0, r, "%.*s", (int)length, text);
}

void dbtest_log_server(const server_rec *s, int level, const char *text, apr_size_t length)
{
    ap_log_error(APLOG_MARK, level, 0, s, "%.*s", (int)length, text);
}

/* Hands the data of one brigade to the sink. Sets `end` at the end of the body. */
static int drain(apr_bucket_brigade *bb, dbtest_sink *sink, void *context, int *stopped, int *end)
{
    apr_bucket *b;

    for (b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb); b = APR_BUCKET_NEXT(b)) {
        const char *data;
        apr_size_t length;
        apr_status_t rv;

        if (APR_BUCKET_IS_EOS(b)) {
            *end = 1;
            return OK;
        }
        if (APR_BUCKET_IS_METADATA(b)) {
            continue;
        }
        rv = apr_bucket_read(b, &data, &length, APR_BLOCK_READ);
        if (rv != APR_SUCCESS) {
            return ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
        }
        if (sink(context, data, length)) {
            *stopped = 1;
            return OK;
        }
    }
    return OK;
}

int dbtest_read_body(request_rec *r, dbtest_sink *sink, void *context, int *stopped)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    int end = 0;

    *stopped = 0;
    while (!end && !*stopped) {
        apr_status_t rv = ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ, HUGE_STRING_LEN);
        int status;

        if (rv != APR_SUCCESS) {
            return ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
        }
        status = drain(bb, sink, context, stopped, &end);
        if (status != OK) {
            return status;
        }
        apr_brigade_cleanup(bb);
    }
    return OK;
}

int dbtest_send(request_rec *r, const char *data, apr_size_t length)
{
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, alloc);
    apr_status_t rv;

    if (length) {
        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_pool_create(data, length, r->pool, alloc));
    }
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(alloc));
    rv = ap_pass_brigade(r->output_filters, bb);
    /* A client that went away is not our error: mod_log_config sees it by r->connection->aborted. Nor is a filter
     * that has answered in our place. */
    return rv == APR_SUCCESS || rv == AP_FILTER_ERROR || r->connection->aborted ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

void dbtest_break_off(request_rec *r)
{
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, alloc);

    /* as mod_proxy_http does: at this status the chunk filter leaves out the last chunk (chunk_filter.c) */
    APR_BRIGADE_INSERT_TAIL(bb, ap_bucket_error_create(HTTP_BAD_GATEWAY, NULL, r->pool, alloc));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(alloc));
    r->connection->keepalive = AP_CONN_CLOSE;
    ap_pass_brigade(r->output_filters, bb);
}

void dbtest_hook_status(int (*hook)(request_rec *r, int flags))
{
    APR_OPTIONAL_HOOK(ap, status_hook, hook, NULL, NULL, APR_HOOK_MIDDLE);
}
