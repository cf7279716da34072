"""The original's stack: Flask, SQLAlchemy and psycopg2 (or sqlite3) under mod_wsgi, in its best shape.

The same page of twenty rows by key, the same form, an engine with a connection for each thread, a template compiled
once. measure/contestants.py writes the script that calls `create`.
"""

from flask import Flask, redirect, render_template, request
from flask_sqlalchemy import SQLAlchemy

PAGE = 20

db = SQLAlchemy()


class Stuff(db.Model):
    """What GET reads; it never changes while the bench runs."""

    __tablename__ = "stuff"
    id = db.Column(db.Integer, primary_key=True)
    stuff = db.Column(db.String(255), nullable=False)
    things = db.Column(db.Text, nullable=False)


class Added(db.Model):
    """What POST adds to."""

    __tablename__ = "added"
    id = db.Column(db.Integer, primary_key=True)
    stuff = db.Column(db.String(255), nullable=False)
    things = db.Column(db.Text, nullable=False)


def create(uri, templates, connections):
    app = Flask("flask_peer", template_folder=templates)
    app.config["SQLALCHEMY_DATABASE_URI"] = uri
    if not uri.startswith("sqlite"):
        app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": connections}
    app.config["TEMPLATES_AUTO_RELOAD"] = False
    db.init_app(app)

    @app.get("/get/")
    def page():
        rows = Stuff.query.order_by(Stuff.id.desc()).limit(PAGE + 1).all()
        return render_template("page.html", rows=rows[:PAGE])

    @app.post("/post/")
    def add():
        stuff, things = request.form["stuff"], request.form["things"]
        if not stuff.strip() or not things.strip() or len(stuff) > 255:
            return "not saved", 422
        row = Added(stuff=stuff, things=things)
        db.session.add(row)
        # the id now: after the commit the row has expired, and reading it would be one more query
        db.session.flush()
        saved = row.id
        db.session.commit()
        return redirect(f"./?saved={saved}", 303)

    return app
