/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The XEPs' examples, one stanza at a time. Their files hold many stanzas in
 * one root element. */
#ifndef EXAMPLES_H
#define EXAMPLES_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include <libxml/parser.h>
#include <libxml/tree.h>

#include "str.h"

/* A stanza as a tree, and as a text of its own with the namespaces that it
 * needs. */
typedef void example_fn(xmlNodePtr stanza, struct jat_str text);

static inline void example_of(xmlNodePtr element, example_fn *f)
{
    xmlDocPtr doc = xmlNewDoc((const xmlChar *)"1.0");
    xmlNodePtr root = xmlDocCopyNode(element, doc, 1);
    xmlBufferPtr xml = xmlBufferCreate();
    xmlDocSetRootElement(doc, root);
    int n = xmlNodeDump(xml, doc, root, 0, 0);
    if (n <= 0)
        abort();
    f(root, jat_str((const char *)xmlBufferContent(xml), (size_t)n));
    xmlBufferFree(xml);
    xmlFreeDoc(doc);
}

static inline unsigned examples_of_file(const char *path, example_fn *f)
{
    xmlDocPtr doc =
        xmlReadFile(path, NULL, XML_PARSE_NONET | XML_PARSE_NOWARNING);
    unsigned n = 0;
    if (doc == NULL)
        abort();
    for (xmlNodePtr e = xmlFirstElementChild(xmlDocGetRootElement(doc));
         e != NULL; e = xmlNextElementSibling(e), n++)
        example_of(e, f);
    xmlFreeDoc(doc);
    return n;
}

/* Hands each stanza of the folder's files to f. The number of them, or -1 where
 * there is no such folder. */
static inline int examples_each(const char *folder, example_fn *f)
{
    DIR *dir = folder == NULL ? NULL : opendir(folder);
    char path[4096];
    int n = 0;
    if (dir == NULL)
        return -1;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        size_t len = strlen(e->d_name);
        if (len < 4 || strcmp(e->d_name + len - 4, ".xml") != 0)
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        n += (int)examples_of_file(path, f);
    }
    closedir(dir);
    return n;
}

#endif
