/* The peer to beat: the same page as mod_dbtest's, by hand in C with libpq or sqlite3.
 *
 * In the best shape a C programmer would give it: one connection for each thread, opened in the first request that
 * needs it; prepared statements; one round trip for a page and one for a row; the page written into one buffer that
 * httpd takes over without a copy; Content-Length known. It has no deadlines, no diagnosis and no security headers:
 * what it leaves out only makes it faster.
 *
 * The page's literal parts come from a file that the bench derives from mod_dbtest's own answer (measure/page.py), so
 * that both always send the same bytes for the same rows.
 */
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>
#include <sqlite3.h>

#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "http_protocol.h"
#include "util_script.h"
#include "apr_strings.h"

extern module AP_MODULE_DECLARE_DATA cpeer_module;
APLOG_USE_MODULE(cpeer);

#define PAGE_SIZE_ROWS 20
#define MAX_PIECES 32
#define MAX_PLACES 4
#define MAX_BODY 65536

/* --- what the administrator wrote ---------------------------------------------------------------- */

typedef struct {
    const char *text;
    apr_size_t length;
} literal;

/* One step of writing a row: a literal, then a field ('i'd, 's'tuff, 't'hings; 0 for none). */
typedef struct {
    literal before;
    char field;
} step;

typedef struct {
    literal head, gap, tail;
    step steps[MAX_PIECES];
    int count;
    literal escapes[256];
} page_text;

typedef struct {
    const char *database; /* a path for SQLite, else libpq's conninfo */
    int sqlite;
    const char *table;
    page_text *page;
} place;

static void *create_place(apr_pool_t *p, char *dir)
{
    (void)dir;
    return apr_pcalloc(p, sizeof(place));
}

static const char *set_sqlite(cmd_parms *cmd, void *conf, const char *path)
{
    (void)cmd;
    ((place *)conf)->database = path;
    ((place *)conf)->sqlite = 1;
    return NULL;
}

static const char *set_postgresql(cmd_parms *cmd, void *conf, const char *conninfo)
{
    (void)cmd;
    ((place *)conf)->database = conninfo;
    return NULL;
}

static const char *set_table(cmd_parms *cmd, void *conf, const char *table)
{
    (void)cmd;
    ((place *)conf)->table = table;
    return NULL;
}

/* Cuts the text up to the first of the control bytes; `at` moves behind it. */
static literal cut(char **at, char *stop)
{
    apr_size_t length = strcspn(*at, "\001\002\003\004\005\006\007");
    literal piece = {*at, length};

    *stop = (*at)[length];
    *at += length + (*stop != '\0');
    return piece;
}

/* head \1 {literal \2|\3|\4} \5 gap \6 tail {\7 character escape}: see measure/page.py */
static const char *set_page(cmd_parms *cmd, void *conf, const char *path)
{
    page_text *page = apr_pcalloc(cmd->pool, sizeof(*page));
    apr_file_t *file;
    apr_finfo_t info;
    apr_size_t length;
    char *text, stop;

    if (apr_file_open(&file, path, APR_READ, APR_OS_DEFAULT, cmd->pool) != APR_SUCCESS
        || apr_file_info_get(&info, APR_FINFO_SIZE, file) != APR_SUCCESS) {
        return apr_psprintf(cmd->pool, "cannot read %s", path);
    }
    length = (apr_size_t)info.size;
    text = apr_pcalloc(cmd->pool, length + 1);
    if (apr_file_read_full(file, text, length, NULL) != APR_SUCCESS) {
        return apr_psprintf(cmd->pool, "cannot read %s", path);
    }
    apr_file_close(file);
    page->head = cut(&text, &stop);
    while (stop != '\005') {
        if (page->count == MAX_PIECES || stop == '\0') {
            return "this is not a page as measure/page.py writes it";
        }
        page->steps[page->count].before = cut(&text, &stop);
        page->steps[page->count++].field = stop == '\002' ? 'i' : stop == '\003' ? 's' : stop == '\004' ? 't' : 0;
    }
    page->gap = cut(&text, &stop);
    page->tail = cut(&text, &stop);
    while (stop == '\007') {
        unsigned char c = (unsigned char)*text++;
        page->escapes[c] = cut(&text, &stop);
    }
    ((place *)conf)->page = page;
    return NULL;
}

/* --- one connection for each thread -------------------------------------------------------------- */

typedef struct {
    const place *place;
    PGconn *pg;
    sqlite3 *db;
    sqlite3_stmt *select, *insert;
} connection;

static __thread connection connections[MAX_PLACES];

static int connect_sqlite(request_rec *r, const place *here, connection *c)
{
    const char *select = apr_psprintf(r->pool, "SELECT id, stuff, things FROM %s ORDER BY id DESC LIMIT %d",
                                      here->table, PAGE_SIZE_ROWS + 1);
    const char *insert = apr_psprintf(r->pool, "INSERT INTO %s (stuff, things) VALUES (?1, ?2)", here->table);

    if (sqlite3_open_v2(here->database, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK
        || sqlite3_busy_timeout(c->db, 5000) != SQLITE_OK
        || sqlite3_exec(c->db, "PRAGMA synchronous=FULL", NULL, NULL, NULL) != SQLITE_OK
        || sqlite3_prepare_v3(c->db, select, -1, SQLITE_PREPARE_PERSISTENT, &c->select, NULL) != SQLITE_OK
        || sqlite3_prepare_v3(c->db, insert, -1, SQLITE_PREPARE_PERSISTENT, &c->insert, NULL) != SQLITE_OK) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "sqlite: %s", sqlite3_errmsg(c->db));
        sqlite3_finalize(c->select);
        sqlite3_close_v2(c->db);
        memset(c, 0, sizeof(*c));
        return 0;
    }
    return 1;
}

static int prepared(PGconn *pg, const char *name, const char *sql, int parameters)
{
    PGresult *result = PQprepare(pg, name, sql, parameters, NULL);
    int ok = PQresultStatus(result) == PGRES_COMMAND_OK;

    PQclear(result);
    return ok;
}

static int connect_postgresql(request_rec *r, const place *here, connection *c)
{
    const char *select = apr_psprintf(r->pool, "SELECT id, stuff, things FROM %s ORDER BY id DESC LIMIT %d",
                                      here->table, PAGE_SIZE_ROWS + 1);
    const char *insert =
        apr_psprintf(r->pool, "INSERT INTO %s (stuff, things) VALUES ($1, $2) RETURNING id", here->table);

    c->pg = PQconnectdb(here->database);
    if (PQstatus(c->pg) != CONNECTION_OK || !prepared(c->pg, "page", select, 0)
        || !prepared(c->pg, "add", insert, 2)) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "postgresql: %s", PQerrorMessage(c->pg));
        PQfinish(c->pg);
        memset(c, 0, sizeof(*c));
        return 0;
    }
    return 1;
}

/* This thread's connection to this place; NULL if it cannot be had. */
static connection *connection_of(request_rec *r, const place *here)
{
    connection *c = connections;

    while (c->place && c->place != here) {
        if (++c == connections + MAX_PLACES) {
            return NULL;
        }
    }
    if (c->place) {
        return c;
    }
    if (!(here->sqlite ? connect_sqlite(r, here, c) : connect_postgresql(r, here, c))) {
        return NULL;
    }
    c->place = here;
    return c;
}

/* The server is gone or the statement failed: the next request begins afresh. */
static int failed(request_rec *r, connection *c, const char *message)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "%s", message);
    if (c->pg && PQstatus(c->pg) != CONNECTION_OK) {
        PQfinish(c->pg);
        memset(c, 0, sizeof(*c));
    }
    return HTTP_SERVICE_UNAVAILABLE;
}

/* --- the page ------------------------------------------------------------------------------------ */

typedef struct {
    char *start, *end, *limit;
} buffer;

static void reserve(buffer *b, apr_size_t more)
{
    if ((apr_size_t)(b->limit - b->end) < more) {
        apr_size_t used = (apr_size_t)(b->end - b->start);
        apr_size_t size = (used + more) * 2 < 16384 ? 16384 : (used + more) * 2;

        b->start = realloc(b->start, size);
        if (!b->start) {
            abort();
        }
        b->end = b->start + used;
        b->limit = b->start + size;
    }
}

static void put(buffer *b, const char *text, apr_size_t length)
{
    reserve(b, length);
    memcpy(b->end, text, length);
    b->end += length;
}

/* Copies whole runs between the characters that HTML wants escaped. */
static void put_escaped(buffer *b, const page_text *page, const char *text, apr_size_t length)
{
    const char *end = text + length, *run = text;

    for (; text < end; text++) {
        const literal *escape = &page->escapes[(unsigned char)*text];

        if (escape->length) {
            put(b, run, (apr_size_t)(text - run));
            put(b, escape->text, escape->length);
            run = text + 1;
        }
    }
    put(b, run, (apr_size_t)(text - run));
}

typedef struct {
    literal id, stuff, things;
} row;

static void put_row(buffer *b, const page_text *page, const row *found)
{
    int i;

    for (i = 0; i < page->count; i++) {
        const step *s = &page->steps[i];

        put(b, s->before.text, s->before.length);
        switch (s->field) {
        case 'i': put(b, found->id.text, found->id.length); break;
        case 's': put_escaped(b, page, found->stuff.text, found->stuff.length); break;
        case 't': put_escaped(b, page, found->things.text, found->things.length); break;
        default: break;
        }
    }
}

static int send_page(request_rec *r, buffer *b)
{
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, alloc);
    apr_size_t length = (apr_size_t)(b->end - b->start);

    ap_set_content_type(r, "text/html; charset=utf-8");
    ap_set_content_length(r, (apr_off_t)length);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_heap_create(b->start, length, free, alloc));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(alloc));
    ap_pass_brigade(r->output_filters, bb);
    return OK;
}

static literal value(const PGresult *result, int y, int x)
{
    literal found = {PQgetvalue(result, y, x), (apr_size_t)PQgetlength(result, y, x)};

    return found;
}

static int page_postgresql(request_rec *r, const page_text *page, connection *c)
{
    buffer b = {NULL, NULL, NULL};
    PGresult *result = PQexecPrepared(c->pg, "page", 0, NULL, NULL, NULL, 0);
    int i, rows;

    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        PQclear(result);
        return failed(r, c, PQerrorMessage(c->pg));
    }
    rows = PQntuples(result) > PAGE_SIZE_ROWS ? PAGE_SIZE_ROWS : PQntuples(result);
    put(&b, page->head.text, page->head.length);
    for (i = 0; i < rows; i++) {
        row found = {value(result, i, 0), value(result, i, 1), value(result, i, 2)};

        if (i) {
            put(&b, page->gap.text, page->gap.length);
        }
        put_row(&b, page, &found);
    }
    put(&b, page->tail.text, page->tail.length);
    PQclear(result);
    return send_page(r, &b);
}

static literal column(sqlite3_stmt *statement, int x)
{
    literal found;

    found.text = (const char *)sqlite3_column_text(statement, x);
    found.length = (apr_size_t)sqlite3_column_bytes(statement, x);
    return found;
}

static int page_sqlite(request_rec *r, const page_text *page, connection *c)
{
    buffer b = {NULL, NULL, NULL};
    int i = 0, status;

    put(&b, page->head.text, page->head.length);
    while ((status = sqlite3_step(c->select)) == SQLITE_ROW && i < PAGE_SIZE_ROWS) {
        row found = {column(c->select, 0), column(c->select, 1), column(c->select, 2)};

        if (i++) {
            put(&b, page->gap.text, page->gap.length);
        }
        put_row(&b, page, &found);
    }
    sqlite3_reset(c->select);
    if (status != SQLITE_ROW && status != SQLITE_DONE) {
        free(b.start);
        return failed(r, c, sqlite3_errmsg(c->db));
    }
    put(&b, page->tail.text, page->tail.length);
    return send_page(r, &b);
}

/* --- adding a row -------------------------------------------------------------------------------- */

typedef struct {
    char *stuff, *things;
} form;

static char *flattened(request_rec *r, ap_form_pair_t *pair)
{
    apr_off_t length;
    apr_size_t size;
    char *text;

    apr_brigade_length(pair->value, 1, &length);
    size = (apr_size_t)length;
    text = apr_palloc(r->pool, size + 1);
    apr_brigade_flatten(pair->value, text, &size);
    text[size] = '\0';
    return text;
}

static int read_form(request_rec *r, form *typed)
{
    apr_array_header_t *pairs = NULL;
    int status = ap_parse_form_data(r, NULL, &pairs, -1, MAX_BODY);

    if (status != OK) {
        return status;
    }
    while (pairs && !apr_is_empty_array(pairs)) {
        ap_form_pair_t *pair = apr_array_pop(pairs);

        if (!strcmp(pair->name, "stuff")) {
            typed->stuff = flattened(r, pair);
        }
        else if (!strcmp(pair->name, "things")) {
            typed->things = flattened(r, pair);
        }
    }
    return typed->stuff && *typed->stuff && typed->things && *typed->things ? OK : HTTP_UNPROCESSABLE_ENTITY;
}

static int see_other(request_rec *r, const char *id)
{
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, alloc);

    r->status = HTTP_SEE_OTHER;
    apr_table_setn(r->headers_out, "Location", apr_psprintf(r->pool, "./?saved=%s", id));
    ap_set_content_length(r, 0);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(alloc));
    ap_pass_brigade(r->output_filters, bb);
    return OK;
}

static int add_postgresql(request_rec *r, connection *c, const form *typed)
{
    const char *values[2] = {typed->stuff, typed->things};
    PGresult *result = PQexecPrepared(c->pg, "add", 2, values, NULL, NULL, 0);
    const char *id;

    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        PQclear(result);
        return failed(r, c, PQerrorMessage(c->pg));
    }
    id = apr_pstrdup(r->pool, PQgetvalue(result, 0, 0));
    PQclear(result);
    return see_other(r, id);
}

static int add_sqlite(request_rec *r, connection *c, const form *typed)
{
    int status;

    sqlite3_bind_text(c->insert, 1, typed->stuff, -1, SQLITE_STATIC);
    sqlite3_bind_text(c->insert, 2, typed->things, -1, SQLITE_STATIC);
    status = sqlite3_step(c->insert);
    sqlite3_reset(c->insert);
    if (status != SQLITE_DONE) {
        return failed(r, c, sqlite3_errmsg(c->db));
    }
    return see_other(r, apr_psprintf(r->pool, "%" APR_INT64_T_FMT, (apr_int64_t)sqlite3_last_insert_rowid(c->db)));
}

/* --- httpd --------------------------------------------------------------------------------------- */

static int handler(request_rec *r)
{
    const place *here;
    connection *c;

    if (!r->handler || strcmp(r->handler, "cpeer")) {
        return DECLINED;
    }
    here = ap_get_module_config(r->per_dir_config, &cpeer_module);
    if (r->method_number == M_POST) {
        form typed = {NULL, NULL};
        int status = read_form(r, &typed);

        if (status != OK) {
            return status;
        }
        c = connection_of(r, here);
        return !c ? HTTP_SERVICE_UNAVAILABLE : c->pg ? add_postgresql(r, c, &typed) : add_sqlite(r, c, &typed);
    }
    if (r->method_number != M_GET) {
        return HTTP_METHOD_NOT_ALLOWED;
    }
    c = connection_of(r, here);
    return !c ? HTTP_SERVICE_UNAVAILABLE
              : c->pg ? page_postgresql(r, here->page, c) : page_sqlite(r, here->page, c);
}

static void register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_MIDDLE);
}

static const command_rec directives[] = {
    AP_INIT_TAKE1("CPeerSQLite", set_sqlite, NULL, ACCESS_CONF, "path of the database"),
    AP_INIT_TAKE1("CPeerPostgreSQL", set_postgresql, NULL, ACCESS_CONF, "libpq's connection string"),
    AP_INIT_TAKE1("CPeerTable", set_table, NULL, ACCESS_CONF, "the table"),
    AP_INIT_TAKE1("CPeerPage", set_page, NULL, ACCESS_CONF, "file with the literal parts of the page"),
    {NULL, {NULL}, NULL, 0, RAW_ARGS, NULL},
};

module AP_MODULE_DECLARE_DATA cpeer_module = {
    STANDARD20_MODULE_STUFF, create_place, NULL, NULL, NULL, directives, register_hooks, 0,
};
