//! The pieces that a page is made of, escaped.

/// Text as HTML text or attribute value. Characters that turn or hide text are shown as escapes.
pub(in crate::bench) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in crate::sanitize::one_line(text).chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(character),
        }
    }
    safe
}

pub(super) fn section(title: &str, content: &str) -> String {
    format!(
        "<section>\n<h2>{}</h2>\n{content}</section>\n",
        escape(title)
    )
}

pub(super) fn paragraph(class: &str, text: &str) -> String {
    format!("<p class=\"{class}\">{}</p>\n", escape(text))
}

/// A table whose first row is the heading and whose first column names the row.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    table_of("<table>", rows)
}

/// A table of a class: it says how its cells are aligned.
pub(super) fn classed_table(class: &str, rows: &[Vec<String>]) -> String {
    table_of(&format!("<table class=\"{class}\">"), rows)
}

fn table_of(start: &str, rows: &[Vec<String>]) -> String {
    let mut html = format!("<div class=\"wide\">{start}\n");
    for (at, row) in rows.iter().enumerate() {
        html.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let cell = escape(cell);
            let (start, end) = match (at, column) {
                (0, _) => ("<th scope=\"col\">", "</th>"),
                (_, 0) => ("<th scope=\"row\">", "</th>"),
                _ => ("<td>", "</td>"),
            };
            html.extend([start, &cell, end]);
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table></div>\n");
    html
}

/// A list of names and what is known.
pub(super) fn list(rows: &[(String, String)]) -> String {
    let mut html = String::from("<dl>\n");
    for (name, value) in rows {
        let (name, value) = (escape(name), escape(value));
        html.extend(["<dt>", &name, "</dt><dd>", &value, "</dd>\n"]);
    }
    html.push_str("</dl>\n");
    html
}
