"""Persons followed and scored while frames come in: files, images, cameras, streams; memory stays bounded."""
